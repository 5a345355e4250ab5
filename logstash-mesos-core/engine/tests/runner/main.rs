//! The tests of the engine from outside, in one program.

mod directions;
mod escape_styles;
mod examples;
mod parity;
mod properties;

/// A file that nobody declared is a test that nobody runs.
#[test]
fn every_file_beside_this_one_is_a_module_of_it() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runner");
    let main = std::fs::read_to_string(here.join("main.rs")).expect("this file can be read");
    for entry in std::fs::read_dir(here).expect("the directory can be read") {
        let name = entry.expect("an entry can be read").file_name().to_string_lossy().into_owned();
        let module = name.trim_end_matches(".rs");
        assert!(
            module == "main" || main.contains(&format!("mod {module};")),
            "{name} is no module of main.rs"
        );
    }
}
