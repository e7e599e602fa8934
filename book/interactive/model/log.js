// One partition of a Kafka topic: a log in segments, with retention or compaction. Pure: no page, no clock, no chance.
// Events: +key=value appends a record, +key a tombstone, t1 one day passes, c the cleaner runs, r3 a reader starts at offset 3.
// segment.ms is half a day here: the first record of another day opens a segment. delete.retention.ms is 0.

// topic: { policy: delete or compact, days (of retention; 0 for ever), reset: earliest or latest }.
export const start = (topic) => ({ ...topic, day: 0, end: 0, base: 0, clean: 0, segments: [{ from: 0, records: [] }], said: "", got: null });

const records = (s) => s.segments.flatMap((g) => g.records);
export const all = records;

// Whole segments go, from the oldest on, once their newest record is too old; also the last one, when all others are gone.
function retain(s) {
  if (s.policy !== "delete" || !s.days) return s;
  const segments = [...s.segments], gone = [];
  const old = (g) => g.records.length && s.day - g.records.at(-1).day >= s.days;
  while (segments.length && old(segments[0])) gone.push(...segments.shift().records);
  if (!segments.length) segments.push({ from: s.end, records: [] });
  return gone.length ? { ...s, segments, base: segments[0].from, gone } : s;
}

function append(s, text) {
  const at = text.indexOf("="), record = { offset: s.end, day: s.day, key: at < 0 ? text : text.slice(0, at), value: at < 0 ? null : text.slice(at + 1) };
  const segments = [...s.segments], last = segments.at(-1), rolls = last.records.length && s.day > last.records[0].day;
  if (rolls) segments.push({ from: s.end, records: [record] });
  else segments[segments.length - 1] = { ...last, records: [...last.records, record] };
  const what = record.value === null ? `A tombstone for ${record.key}` : `${record.key} = ${record.value}`;
  return { ...s, segments, end: s.end + 1, said: `${what} is appended at offset ${record.offset}${rolls ? ", in a new segment" : ""}.` };
}

// One pass over the closed segments: of each key what is not the last there goes. A tombstone goes in the pass after that.
function compact(s) {
  const active = s.segments.at(-1), closed = s.segments.slice(0, -1), dirty = closed.flatMap((g) => g.records).filter((r) => r.offset >= s.clean);
  if (s.policy !== "compact") return { ...s, said: "The cleaner has nothing to do: the policy is delete." };
  if (!dirty.length) return { ...s, said: "The cleaner finds nothing new: it never touches the segment that is written to." };
  const last = new Map(dirty.map((r) => [r.key, r.offset]));
  const keeps = (r) => r.offset >= (last.get(r.key) ?? -1) && !(r.value === null && r.marked);
  const before = records(s).length;
  const segments = [...closed.map((g) => ({ ...g, records: g.records.filter(keeps).map((r) => (r.value === null ? { ...r, marked: true } : r)) })), active];
  const gone = before - segments.flatMap((g) => g.records).length;
  return { ...s, segments, clean: active.from, said: `The cleaner takes ${gone} record${gone === 1 ? "" : "s"} out of the closed segments. Offsets stay.` };
}

// Where a reader that asks for an offset begins, or the end.
export function read(s, offset) {
  if (offset < s.base || offset > s.end) offset = s.reset === "earliest" ? s.base : s.end;
  return records(s).find((r) => r.offset >= offset)?.offset ?? s.end;
}

export function step(before, event) {
  const s = { ...before, got: null, gone: [] }, rest = event.slice(1);
  if (event[0] === "+") return retain(append(s, rest));
  if (event[0] === "c") return compact(s);
  if (event[0] === "t") {
    const next = retain({ ...s, day: s.day + Number(rest) });
    const gone = next.gone.map((r) => r.offset), past = Number(rest) === 1 ? "A day passes." : `${rest} days pass.`;
    return { ...next, said: `${past} ${gone.length ? `Offset${gone.length > 1 ? `s ${gone[0]} to ${gone.at(-1)} are` : ` ${gone[0]} is`} deleted, with ${gone.length > 1 ? "their segments" : "its segment"}.` : "Nothing is deleted."}` };
  }
  const want = Number(rest), got = read(s, want), out = want < s.base || want > s.end;
  return { ...s, got, said: (out ? `Offset ${want} is not there: auto.offset.reset=${s.reset}. ` : "") + (got === s.end ? "The reader waits at the end." : `The reader gets offset ${got} first${!out && got !== want ? `, for ${want} is gone` : ""}.`) };
}

export const play = (topic, events) => events.reduce(step, start(topic));
