//! The order in which Java's `HashMap` hands out its keys.
//!
//! Logstash passes every hash of a configuration through one, so the order in which a plugin sees the
//! entries is the order of their hash codes, not the order in which they were written.

/// A key as Java hashes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Key<'k> {
    /// Hashed as a `java.lang.String`.
    Text(&'k str),
    /// Hashed as a `java.lang.Long`.
    Int(i64),
    /// Hashed as a `java.lang.Double`.
    Float(f64),
}

impl Key<'_> {
    fn hash_code(self) -> i32 {
        let of_bits = |bits: u64| {
            #[expect(clippy::cast_possible_truncation, reason = "Java folds 64 bits into 32 like this")]
            let folded = (bits ^ (bits >> 32)) as u32;
            folded.cast_signed()
        };
        match self {
            Self::Text(text) => text
                .encode_utf16()
                .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit))),
            Self::Int(number) => of_bits(number.cast_unsigned()),
            Self::Float(number) => of_bits(number.to_bits()),
        }
    }
}

/// Sorts `entries`, whose keys are all different, into the order of a `new HashMap()` that they were put
/// into one after the other.
pub(crate) fn sort<T>(entries: &mut [T], key: impl Fn(&T) -> Key<'_>) {
    sort_sized(entries, 16, key);
}

/// As [`sort`], for a `new HashMap(capacity)`.
pub(crate) fn sort_sized<T>(entries: &mut [T], capacity: usize, key: impl Fn(&T) -> Key<'_>) {
    let mut buckets = capacity.max(1).next_power_of_two();
    // The table doubles when it is more than three quarters full. Splitting a bucket keeps its order, so
    // the last size alone decides, with the order of insertion inside a bucket.
    while entries.len() > buckets * 3 / 4 {
        buckets *= 2;
    }
    entries.sort_by_cached_key(|entry| {
        let hash = key(entry).hash_code().cast_unsigned();
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_codes_are_javas() {
        assert_eq!(Key::Text("").hash_code(), 0);
        assert_eq!(Key::Text("message").hash_code(), 954_925_063);
        assert_eq!(Key::Text("polygenelubricants").hash_code(), i32::MIN);
        assert_eq!(Key::Int(-1).hash_code(), 0);
        assert_eq!(Key::Float(1.0).hash_code(), 1_072_693_248);
    }

    #[test]
    fn entries_come_by_bucket_and_then_as_they_were_put() {
        // `Aa` and `BB` share a hash code.
        let mut keys = vec!["b", "BB", "a", "Aa", "c"];
        sort(&mut keys, |key| Key::Text(key));
        assert_eq!(keys, ["BB", "Aa", "a", "b", "c"]);
        let mut keys = vec!["k", "n"];
        sort_sized(&mut keys, 2, |key| Key::Text(key));
        assert_eq!(keys, ["n", "k"]);
    }
}
