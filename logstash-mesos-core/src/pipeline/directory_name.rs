//! What a configuration or a plugin keeps on disk has a directory of its own, named after it.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// The name of the directory for `name`: a single one, another one for every other name, and short enough for any file
/// system. [`percent_encoding::percent_decode_str`] gives `name` back, as far as it is not cut.
pub(crate) fn directory_name(name: &str) -> String {
    let mut encoded = utf8_percent_encode(name, ESCAPED).to_string();
    if encoded.starts_with('.') {
        encoded.replace_range(..1, "%2E");
    }
    if encoded.len() > LONGEST {
        let hash = hex::encode(&Sha256::digest(name)[..8]);
        let cut = (0..=LONGEST - 20).rev().find(|at| encoded.is_char_boundary(*at)).unwrap_or(0);
        encoded = format!("{}%{hash}", &encoded[..cut]);
    }
    encoded
}

/// The system takes 255 bytes, and something may be added.
const LONGEST: usize = 180;
const ESCAPED: &AsciiSet = &CONTROLS.add(b'/').add(b'%').add(b'\\').add(b' ');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_directory_of_its_own() {
        let long = ["x".repeat(300), "x".repeat(301), "ü".repeat(200)];
        let names =
            ["host/a", "host%2Fa", "..", "%2E.", "a b"].into_iter().chain(long.iter().map(String::as_str));
        let mut directories: Vec<String> = names.map(directory_name).collect();
        assert_eq!(directories[0], "host%2Fa");
        assert!(
            directories.iter().all(|one| one.len() <= 255 && !one.contains('/') && !one.starts_with('.'))
        );
        let count = directories.len();
        directories.sort();
        directories.dedup();
        assert_eq!(directories.len(), count);
    }
}
