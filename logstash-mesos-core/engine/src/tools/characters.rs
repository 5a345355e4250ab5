//! Where bytes can be cut without tearing a character of UTF-8.

/// The most of the first `at_most` bytes that ends with a whole character. What is no UTF-8 near there is cut as well
/// as it can be.
#[must_use]
pub fn whole_characters(bytes: &[u8], at_most: usize) -> usize {
    let goes_on = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    let at_most = at_most.min(bytes.len());
    // No character has more than four bytes.
    (at_most.saturating_sub(3)..=at_most).rev().find(|at| !goes_on(*at)).unwrap_or(at_most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_the_longest_prefix_of_whole_characters() {
        let text = "aé€🦀z";
        for at_most in 0..=text.len() + 2 {
            let expected = (0..=at_most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
            assert_eq!(Some(whole_characters(text.as_bytes(), at_most)), expected, "{at_most}");
        }
        assert_eq!(whole_characters(&[0x80; 9], 6), 6, "no UTF-8");
    }
}
