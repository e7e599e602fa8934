//! The guide in a real browser.

use anyhow::{Result, ensure};
use tests::browser::{Browser, LIGHT_NARROW, LIGHT_WIDE, axe::Axe, site};

#[tokio::test]
async fn try_it() -> Result<()> {
    let browser = Browser::start()?;
    let tab = browser.tab(&site()?.address(), LIGHT_WIDE).await?;
    tab.open("kafka/produce.html").await?;
    let log = tab.log().await?;
    println!("{log:?} {}", log.bytes());
    tab.press("Tab").await?;
    println!(
        "{}",
        tab.run("return document.activeElement.className").await?
    );
    println!("{:?}", Axe::get()?.violations(&tab).await?);
    tab.look(LIGHT_NARROW).await?;
    println!(
        "{} {}",
        tab.run("return innerWidth").await?,
        tab.run("return document.documentElement.scrollWidth")
            .await?
    );
    tab.look(LIGHT_NARROW.without_scripts()).await?;
    tab.open("kafka/produce.html").await?;
    println!(
        "{}",
        tab.run("return getComputedStyle(document.querySelector('.find')).display")
            .await?
    );
    ensure!(tab.log().await?.complaints.is_empty());
    tab.close().await
}
