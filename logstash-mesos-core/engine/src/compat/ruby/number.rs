//! `Float(text)` and `BigDecimal(text)` as JRuby reads numbers: stricter here, laxer there than one would think.

use bigdecimal::{BigDecimal, ToPrimitive};
use num_bigint::{BigInt, Sign};

use super::is_space;

/// `Float(text)`: digits with single underscores between them, a point between digits, an exponent; or hexadecimal.
pub(crate) fn strict_float(text: &str) -> Option<f64> {
    let hexadecimal = text.strip_prefix('-').unwrap_or(text);
    if hexadecimal.starts_with("0x") || hexadecimal.starts_with("0X") {
        return hex_float(text.trim_end_matches(is_space));
    }
    let text = text.trim_matches(is_space);
    let (mantissa, power) = match text.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, exponent(power)?),
        None => (text, String::new()),
    };
    let (sign, unsigned) = mantissa.split_at(usize::from(mantissa.starts_with(['+', '-'])));
    let digits = |text| without_underscores(text, |byte| byte.is_ascii_digit());
    let (whole, fraction) = match unsigned.split_once('.') {
        Some(("", fraction)) => ("0".to_owned(), digits(fraction)?),
        Some((whole, fraction)) => (digits(whole)?, digits(fraction)?),
        None => (digits(unsigned)?, String::new()),
    };
    let power = if power.is_empty() { "0" } else { &power };
    format!("{sign}{whole}.{fraction}e{power}").parse().ok()
}

/// `0x1f`, and with an exponent of two `0x1.8p1`.
fn hex_float(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text),
    };
    let Some((mantissa, power)) = unsigned.split_once(['p', 'P']) else {
        return hex_integer(text)?.to_f64();
    };
    let (whole, fraction) = match mantissa.strip_prefix("0x")?.split_once('.') {
        Some(("", fraction)) => (String::new(), fraction),
        Some((whole, fraction)) => (hex_digits(whole)?, fraction),
        None => (hex_digits(mantissa.strip_prefix("0x")?)?, ""),
    };
    let fraction = fraction.replace('_', "");
    let number = BigInt::parse_bytes(format!("0{whole}{fraction}").as_bytes(), 16)?.to_f64()?;
    let power = exponent(power)?;
    let power = match power.parse::<i32>() {
        Ok(power) => power,
        Err(_) if power.is_empty() => 0,
        Err(_) if power.starts_with('-') => -100_000,
        Err(_) => 100_000,
    };
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let magnitude = number * f64::from(power.checked_sub(shift)?).exp2();
    Some(if negative { -magnitude } else { magnitude })
}

/// `Integer("-0x1F")`.
pub(crate) fn hex_integer(text: &str) -> Option<BigInt> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (Sign::Minus, unsigned),
        None => (Sign::Plus, text),
    };
    let digits = hex_digits(unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"))?)?;
    let (_, magnitude) = BigInt::parse_bytes(digits.as_bytes(), 16)?.into_parts();
    Some(BigInt::from_biguint(sign, magnitude))
}

fn hex_digits(text: &str) -> Option<String> {
    without_underscores(text, |byte| byte.is_ascii_hexdigit())
}

/// An exponent without underscores. A lone sign passes for none at all.
fn exponent(text: &str) -> Option<String> {
    let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
    if !sign.is_empty() && digits.is_empty() {
        return Some(String::new());
    }
    let digits = if sign.is_empty() { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    let digits = without_underscores(digits, |byte| byte.is_ascii_digit())?;
    Some(format!("{sign}{digits}"))
}

/// The digits of a number; `None` unless there is one and underscores only stand between two.
fn without_underscores(text: &str, is_digit: impl Fn(u8) -> bool) -> Option<String> {
    let fine = !text.is_empty()
        && !text.starts_with('_')
        && !text.ends_with('_')
        && !text.contains("__")
        && text.bytes().all(|byte| byte == b'_' || is_digit(byte));
    fine.then(|| text.replace('_', ""))
}

/// `BigDecimal(text)` of JRuby, which ignores one character after the number, whatever it is, and white space
/// before that: `50%` is 50, `12 3` is 12, but `12ab` is no number. `text` is in lower case, without white space
/// around it.
pub(crate) fn lenient_decimal(text: &str) -> Option<BigDecimal> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let run = |from: usize| {
        let mut end = from;
        while digit(end) || (end > from && bytes.get(end) == Some(&b'_') && digit(end - 1) && digit(end + 1))
        {
            end += 1;
        }
        end
    };
    let start = usize::from(text.starts_with(['+', '-']));
    let whole = start..run(start);
    let mut end = whole.end;
    let mut fraction = end..end;
    if bytes.get(end) == Some(&b'.') && digit(end + 1) {
        fraction = end + 1..run(end + 1);
        end = fraction.end;
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut power = 0;
    let powered = matches!(bytes.get(end), Some(b'e' | b'd'));
    if powered {
        let from = end + 1;
        let signed = from + usize::from(matches!(bytes.get(from), Some(b'+' | b'-')));
        end = run(signed);
        let digits = text.get(from..end).filter(|_| end > signed)?.replace('_', "");
        power = match digits.parse::<i32>() {
            Ok(power) => i64::from(power),
            // So small that it is nothing.
            Err(_) if digits.starts_with('-') => return Some(BigDecimal::default()),
            Err(_) => return None,
        };
    }
    let rest = &text[end..];
    let ignored = rest.trim_start_matches(is_space);
    if ignored.chars().nth(1).is_some() || (powered && rest.starts_with(['.', '-', '+'])) {
        return None;
    }
    let digits = format!("{}{}", &text[whole], &text[fraction.clone()]).replace('_', "");
    let magnitude: BigInt = digits.parse().ok()?;
    let scale = i64::try_from(text[fraction].replace('_', "").len()).ok()?;
    Some(BigDecimal::new(if text.starts_with('-') { -magnitude } else { magnitude }, scale - power))
}

#[cfg(test)]
mod tests {
    use super::{lenient_decimal, strict_float};

    #[test]
    fn floats() {
        for (text, expected) in [
            ("1.5", Some(1.5)),
            (" -7\n", Some(-7.0)),
            ("1_0.5_5", Some(10.55)),
            (".5e3", Some(500.0)),
            ("1e+", Some(1.0)),
            ("1.5E-", Some(1.5)),
            ("1e+_5", Some(100_000.0)),
            ("1e-5_0", Some(1e-50)),
            ("1e99999999999", Some(f64::INFINITY)),
            ("0x1f ", Some(31.0)),
            ("-0X1f", Some(-31.0)),
            ("0x1e5", Some(485.0)),
            ("0x1_0", Some(16.0)),
            ("0x1.8p1_0", Some(1536.0)),
            ("0x1.1__1p1", Some(2.132_812_5)),
            ("0x.8p1", Some(1.0)),
            ("0x.p1", Some(0.0)),
            ("0x1.p+1", Some(2.0)),
            ("0x1p-", Some(1.0)),
            ("0x1p99999999999", Some(f64::INFINITY)),
            ("0x1p-1100", Some(0.0)),
            ("-0x1.8p-2", Some(-0.375)),
            ("", None),
            ("5.", None),
            ("1.e3", None),
            ("1e", None),
            ("1e_3", None),
            ("1e3_", None),
            ("1__0", None),
            ("+-5", None),
            ("1 2", None),
            ("inf", None),
            ("NaN", None),
            ("0x", None),
            ("0xp1", None),
            ("0x1.8", None),
            ("0x1p", None),
            ("0x1p_1", None),
            ("0x1_p1", None),
            ("0X1.8P1", None),
            ("+0x1f", None),
            ("\t0x1", None),
        ] {
            assert_eq!(strict_float(text), expected, "{text}");
        }
    }

    #[test]
    fn decimals() {
        for (text, expected) in [
            ("12", Some("12")),
            ("-1.50", Some("-1.50")),
            (".5", Some("0.5")),
            ("1_0.5_0e1_0", Some("105000000000")),
            ("1d5", Some("100000")),
            ("1e-2147483649", Some("0")),
            ("50%", Some("50")),
            ("5.", Some("5")),
            ("1.5.", Some("1.5")),
            ("1é", Some("1")),
            ("1_", Some("1")),
            ("1e5f", Some("100000")),
            ("12  3", Some("12")),
            ("", None),
            ("-", None),
            ("x", None),
            ("_1", None),
            ("12ab", None),
            ("1 000", None),
            ("1. 5", None),
            ("1.e3", None),
            ("1e", None),
            ("1.5d", None),
            ("1e+", None),
            ("1e5.", None),
            ("1__", None),
            ("1_e5", None),
            ("1e2147483648", None),
        ] {
            assert_eq!(lenient_decimal(text), expected.and_then(|number| number.parse().ok()), "{text}");
        }
    }
}
