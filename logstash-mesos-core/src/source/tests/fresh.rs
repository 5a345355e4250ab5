//! Directories that were made after the reader began: all that is in them came later.

use std::time::SystemTime;

use super::*;

#[tokio::test]
async fn what_was_put_aside_before_the_first_look_is_read_in_a_directory_that_is_new() {
    for is_new in [false, true] {
        let bed = Bed::new();
        let at = |name: &str| bed.path("logs").join(name);
        let make = || fs::create_dir(bed.path("logs")).unwrap();
        if !is_new {
            make();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let directories = Directories::default();
        tokio::time::sleep(Duration::from_millis(50)).await;
        if is_new {
            make();
        }
        // Somebody has brought it along.
        append(&at("app.log.4"), "old\n");
        let then = SystemTime::now() - Duration::from_secs(3600);
        OpenOptions::new().append(true).open(at("app.log.4")).unwrap().set_modified(then).unwrap();
        fs::write(at("app.log.3.gz"), packed(b"a\n")).unwrap();
        append(&at("app.log.2"), "b\n");
        append(&at("app.log.1"), "c\n");
        append(&at("app.log"), "d\n");
        let file = HostFile::new(at("app.log"), &directories);
        let stream = bed.follow_by(Arc::new(file), bed.positions().stream("app.log"), quick());
        bed.expect(if is_new { &["a", "b", "c", "d"] } else { &["d"] }).await;
        append(&at("app.log"), "e\n");
        bed.expect(if is_new { &["a", "b", "c", "d", "e"] } else { &["d", "e"] }).await;
        stream.stop().await;
    }
}
