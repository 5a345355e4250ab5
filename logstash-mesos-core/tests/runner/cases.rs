//! Complaints in data files: `tests/cases/parser/*.conf`, each with what is said about it beside it.

use std::path::Path;

use logstash_mesos_core::pipeline::{CompileOptions, catalog, compile};

/// The complaints about each configuration, as people see them. `UPDATE=1` writes them anew.
#[test]
fn complaints_are_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/parser");
    let mut differing = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder of the cases can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.extension().is_none_or(|extension| extension != "conf") {
            continue;
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = std::fs::read_to_string(&path).expect("a case can be read");
        let options = CompileOptions::new(catalog()).with(|options| {
            options.origin = name.clone();
            options.check_paths = false;
        });
        let (accepted, said) = match compile(&text, &options) {
            Ok(compiled) => (true, compiled.warnings),
            Err(complaints) => (false, complaints),
        };
        assert_eq!(!accepted, name.starts_with("err_"), "{name}: {said}");
        assert_eq!(said.is_empty(), name.starts_with("ok_"), "{name}: {said}");
        let recorded = path.with_extension("said");
        let said = format!("{said}\n");
        #[expect(clippy::disallowed_methods, reason = "a person asks for it")]
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&recorded, &said).expect("the record can be written");
        }
        if std::fs::read_to_string(&recorded).unwrap_or_default() != said {
            differing.push(format!("{name}:\n{said}"));
        }
    }
    assert!(differing.is_empty(), "UPDATE=1 accepts what is said now:\n{}", differing.join("\n"));
}
