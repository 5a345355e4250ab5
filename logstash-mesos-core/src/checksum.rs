//! A checksum that finds accidents: a file that was cut, edited or replaced.

use std::hash::Hasher;

use fnv::FnvHasher;

/// FNV-1a of 64 bits. Its results are kept in files, so that it must not change.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_fnv_1a() {
        // http://www.isthe.com/chongo/tech/comp/fnv/ publishes this one.
        assert_eq!(super::checksum(b"foobar"), 0x85944171f73967e8);
    }
}
