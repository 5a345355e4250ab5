//! `docs/compatibility.md` says what the tables of the engine say, with every plugin built in.
#![cfg(feature = "elasticsearch")]

use std::path::Path;

use logstash_mesos_core::pipeline::catalog;
use logstash_mesos_core::pipeline::compatibility::compatibility;

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let page = compatibility(&catalog());
    #[expect(clippy::disallowed_methods, reason = "a person asks for it")]
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/compatibility.md is not current; run `UPDATE=1 cargo test -p logstash-mesos-core --features elasticsearch --test runner`"
    );
}
