//! Tells the filter `useragent` where the expressions of uap-core are.
//!
//! The package `ua-parser` carries them, and is a build dependency so that cargo unpacks it; but neither that
//! package nor cargo says where to. The places below are those in which cargo puts packages.

#![expect(clippy::disallowed_methods, reason = "a build script learns where it is from its environment")]

use std::env;
use std::path::{Path, PathBuf};

/// Of the version that `Cargo.toml` asks for.
const PACKAGE: &str = "ua-parser-0.2.2";

/// Overrides the search, for builds that keep their packages elsewhere.
const VARIABLE: &str = "LOGSTASH_MESOS_UAP_REGEXES";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let places = places();
    if let Some(file) = places.iter().find(|place| place.is_file()) {
        println!("cargo::rerun-if-changed={}", file.display());
        println!("cargo::rustc-env=UAP_REGEXES={}", file.display());
    } else {
        let list: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        println!(
            "cargo::error=the expressions for user agents are in none of {}: set {VARIABLE} to the \
             uap-core/regexes.yaml of the package {PACKAGE}",
            list.join(", ")
        );
    }
}

fn places() -> Vec<PathBuf> {
    if let Some(file) = env::var_os(VARIABLE) {
        return vec![file.into()];
    }
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    // Beside this package, where both come from a registry or are vendored.
    let beside = here.parent().into_iter().map(Path::to_owned);
    // Vendored, and this package is a working copy.
    let vendored = here.ancestors().map(|directory| directory.join("vendor"));
    // From a registry, of which cargo unpacks each in a directory of its own.
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let registries = home.and_then(|home| home.join("registry/src").read_dir().ok());
    let unpacked = registries.into_iter().flatten().flatten().map(|registry| registry.path());
    (beside.chain(vendored).chain(unpacked))
        .flat_map(|directory| [directory.join(PACKAGE), directory.join("ua-parser")])
        .map(|package| package.join("uap-core/regexes.yaml"))
        .collect()
}
