//! The digests of `fingerprint` and `anonymize`.

use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A hash function of OpenSSL, by Logstash's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// The method that settings call so, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "MD5" => Self::Md5,
            "SHA1" => Self::Sha1,
            "SHA256" => Self::Sha256,
            "SHA384" => Self::Sha384,
            "SHA512" => Self::Sha512,
            _ => return None,
        })
    }

    /// The digest of `data`, with a key as HMAC.
    pub(crate) fn digest(self, key: Option<&[u8]>, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => either::<Md5, Hmac<Md5>>(key, data),
            Self::Sha1 => either::<Sha1, Hmac<Sha1>>(key, data),
            Self::Sha256 => either::<Sha256, Hmac<Sha256>>(key, data),
            Self::Sha384 => either::<Sha384, Hmac<Sha384>>(key, data),
            Self::Sha512 => either::<Sha512, Hmac<Sha512>>(key, data),
        }
    }
}

fn either<D: Digest, M: Mac + hmac::digest::KeyInit>(key: Option<&[u8]>, data: &[u8]) -> Vec<u8> {
    // A key of any length is fine for HMAC, so the error cannot come.
    match key.and_then(|key| <M as Mac>::new_from_slice(key).ok()) {
        Some(mac) => mac.chain_update(data).finalize().into_bytes().to_vec(),
        None => D::digest(data).to_vec(),
    }
}

/// MurmurHash3, x86, 32 bits.
pub(crate) fn murmur3_32(data: &[u8], seed: u32) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let mut hash = seed;
    let (blocks, tail) = data.as_chunks::<4>();
    for block in blocks {
        hash ^= u32::from_le_bytes(*block).wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = tail.iter().rev().fold(0_u32, |rest, byte| rest << 8 | u32::from(*byte));
    hash ^= rest.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    hash ^= data.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// MurmurHash3, x64, 128 bits, low byte first.
pub(crate) fn murmur3_128(data: &[u8], seed: u32) -> [u8; 16] {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |word: u64| word.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |word: u64| word.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut h1, mut h2) = (u64::from(seed), u64::from(seed));
    let (blocks, tail) = data.as_chunks::<16>();
    for block in blocks {
        let whole = u128::from_le_bytes(*block);
        h1 ^= mix1(whole as u64);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2((whole >> 64) as u64);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let mut rest = [0; 16];
    rest[..tail.len()].copy_from_slice(tail);
    let rest = u128::from_le_bytes(rest);
    h2 ^= mix2((rest >> 64) as u64);
    h1 ^= mix1(rest as u64);
    h1 ^= data.len() as u64;
    h2 ^= data.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (u128::from(h2) << 64 | u128::from(h1)).to_le_bytes()
}

fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        let hexed = |algorithm: Algorithm, key: Option<&[u8]>| hex::encode(algorithm.digest(key, b"hello"));
        assert_eq!(hexed(Algorithm::Md5, None), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(hexed(Algorithm::Sha1, None), "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
        assert_eq!(
            hexed(Algorithm::Sha256, Some(b"secret")),
            "88aab3ede8d3adf94d26ab90d3bafd4a2083070c3bcce9c014ee04a443847c0b"
        );
    }

    #[test]
    fn known_murmur_hashes() {
        assert_eq!(murmur3_32(b"hello", 0), 613_153_351);
        assert_eq!(murmur3_32(b"", 0), 0);
        assert_eq!(murmur3_32(&5_i64.to_le_bytes(), 0), 1_740_791_543);
        assert_eq!(hex::encode(murmur3_128(b"hello", 2)), "648a66fb923498d0ddfbffbb29aa9d64");
    }
}
