//! Numbers as Java prints them, which is what Logstash puts into JSON and into texts.

use std::io::Write;

use bigdecimal::BigDecimal;

/// Appends `number` as `Double.toString` does: `1.0`, `1.0E20`, `Infinity`.
pub fn write_java_double(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend_from_slice(b"NaN");
        return;
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    let size = number.abs();
    if size.is_infinite() {
        out.extend_from_slice(b"Infinity");
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        // Rust's `{:?}` gives the shortest digits that read back as the same number, as Java does since 19.
        let _infallible = write!(out, "{size:?}");
    } else {
        let start = out.len();
        let _infallible = write!(out, "{size:E}");
        let exponent = start + out[start..].iter().position(|byte| *byte == b'E').unwrap_or(0);
        if !out[start..exponent].contains(&b'.') {
            out.splice(exponent..exponent, *b".0");
        }
    }
}

/// Appends `number` as `BigDecimal.toString` does: `1.50`, `1E+3`, `1.5E-9`.
pub fn write_java_decimal(number: &BigDecimal, out: &mut Vec<u8>) {
    let (unscaled, scale) = number.as_bigint_and_exponent();
    if scale == 0 {
        let _infallible = write!(out, "{unscaled}");
        return;
    }
    let digits = unscaled.magnitude().to_string();
    if unscaled.sign() == num_bigint::Sign::Minus {
        out.push(b'-');
    }
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let adjusted = count - 1 - scale;
    if scale > 0 && adjusted >= -6 {
        if count > scale {
            let (whole, fraction) = digits.split_at(usize::try_from(count - scale).unwrap_or(0));
            let _infallible = write!(out, "{whole}.{fraction}");
        } else {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', usize::try_from(scale - count).unwrap_or(0)));
            out.extend_from_slice(digits.as_bytes());
        }
        return;
    }
    let (first, rest) = digits.split_at(1);
    out.extend_from_slice(first.as_bytes());
    if !rest.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest.as_bytes());
    }
    if adjusted != 0 {
        let _infallible = write!(out, "E{adjusted:+}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_look_like_java() {
        let cases = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (-1.5e-9, "-1.5E-9"),
            (1e20, "1.0E20"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ];
        for (number, text) in cases {
            let mut out = Vec::new();
            write_java_double(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn decimals_look_like_java() {
        let cases = [
            (5, 0, "5"),
            (150, 2, "1.50"),
            (-15, 1, "-1.5"),
            (1, 3, "0.001"),
            (1, 7, "1E-7"),
            (15, 10, "1.5E-9"),
            (1, -3, "1E+3"),
            (15, -3, "1.5E+4"),
            (0, 3, "0.000"),
            (0, -2, "0E+2"),
            (12, 8, "1.2E-7"),
            (1, 6, "0.000001"),
        ];
        for (unscaled, scale, text) in cases {
            let mut out = Vec::new();
            write_java_decimal(&BigDecimal::new(num_bigint::BigInt::from(unscaled), scale), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
