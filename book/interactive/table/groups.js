// The table of the part, for each of its starts: caption, head, rows.
import { partition } from "../model/groups.js";

export function truth() {
  const keys = ["order-1", "order-2", "order-4", "order-5", "order-17", "truck-1000"], ns = [3, 6];
  return ["The partition of a key, librdkafka (CRC32) and Java (murmur2)", ["Key", ...ns.flatMap((n) => [`librdkafka, of ${n}`, `Java, of ${n}`])], keys.map((k) => [k, ...ns.flatMap((n) => ["rust", "java"].map((c) => partition(k, n, c)))])];
}
