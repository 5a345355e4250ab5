//! The two ways to write a rule: `FIELD:OPERATOR[:VALUE]`, and Marathon's JSON arrays.

use super::{Constraint, Field, Pattern, Rule};
use crate::regex::{Regex, RegexError};
use thiserror::Error;

/// Why a text is no rule, or none that makes sense here.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConstraintError {
    /// It is in neither form.
    #[error(
        "`{text}` is not FIELD:OPERATOR:VALUE, such as hostname:LIKE:web.*, and not a JSON array such as \
         [\"hostname\",\"LIKE\",\"web.*\"]"
    )]
    Form {
        /// The whole rule as it was written.
        text: String,
    },
    /// There is no such field with an `@`.
    #[error("there is no `{field}`: beside names of attributes there are hostname, @region and @zone")]
    UnknownField {
        /// The field as it was written, with its `@`.
        field: String,
    },
    /// There is no such operator.
    #[error("there is no operator `{operator}`: there are LIKE, UNLIKE, IS, CLUSTER, UNIQUE and MAX_PER")]
    UnknownOperator {
        /// The operator as it was written.
        operator: String,
    },
    /// It would spread a number of instances, and there is none.
    #[error(
        "GROUP_BY spreads a number of instances over groups of equal size, and here every agent gets an executor; \
         to limit how many agents of a group get one, write {field}:MAX_PER:N"
    )]
    GroupBy {
        /// The field of the rule, for the example in the message.
        field: String,
    },
    /// It would let chance choose the agents.
    #[error(
        "CLUSTER without a value puts all executors where the first one happens to be; say where, as in \
         {field}:CLUSTER:VALUE"
    )]
    ClusterOfChance {
        /// The field of the rule, for the example in the message.
        field: String,
    },
    /// The operator needs a value.
    #[error("{operator} needs a value, as in {field}:{operator}:VALUE")]
    NoValue {
        /// The field of the rule, for the example in the message.
        field: String,
        /// The operator that lacks its value.
        operator: String,
    },
    /// The operator takes no value.
    #[error("UNIQUE takes no value; to allow more than one, write {field}:MAX_PER:N")]
    UniqueWithValue {
        /// The field of the rule, for the example in the message.
        field: String,
    },
    /// The value has to be a number.
    #[error("MAX_PER needs a whole number from 1, not `{value}`")]
    NoNumber {
        /// The value as it was written, in place of a number.
        value: String,
    },
    /// The value has to be a regular expression.
    #[error("`{pattern}` is not a regular expression")]
    Pattern {
        /// The value as it was written, which LIKE and UNLIKE read as an expression.
        pattern: String,
        /// What is wrong with it.
        source: RegexError,
    },
}

impl Constraint {
    /// Reads a rule, or a JSON array of several.
    ///
    /// # Errors
    ///
    /// [`ConstraintError`] for the first that is none, or that has no meaning for one executor per agent.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, ConstraintError> {
        let text = text.trim();
        let form = || ConstraintError::Form { text: text.to_owned() };
        if !text.starts_with('[') {
            let parts: Vec<_> = text.splitn(3, ':').collect();
            return Ok(vec![Self::from_parts(&parts).ok_or_else(form)??]);
        }
        let several = serde_json::from_str::<Vec<Vec<String>>>(text)
            .or_else(|_| serde_json::from_str::<Vec<String>>(text).map(|one| vec![one]))
            .map_err(|_| form())?;
        let read = |parts: &Vec<String>| {
            let parts: Vec<_> = parts.iter().map(String::as_str).collect();
            Self::from_parts(&parts).ok_or_else(form)?
        };
        several.iter().map(read).collect()
    }

    fn from_parts(parts: &[&str]) -> Option<Result<Self, ConstraintError>> {
        let (field, operator, value) = match parts {
            [field, operator] => (field.trim(), operator.trim(), None),
            [field, operator, value] => (field.trim(), operator.trim(), Some(*value)),
            _ => return None,
        };
        if field.is_empty() || operator.is_empty() {
            return None;
        }
        Some(Self::new(field, operator, value.filter(|value| !value.is_empty())))
    }

    fn new(field: &str, operator: &str, value: Option<&str>) -> Result<Self, ConstraintError> {
        let operator = operator.to_ascii_uppercase();
        let named = || field.to_owned();
        let needed = || {
            let no_value = || ConstraintError::NoValue { field: named(), operator: operator.clone() };
            value.ok_or_else(no_value)
        };
        let rule = match operator.as_str() {
            "LIKE" => Rule::Like(Pattern::new(needed()?)?),
            "UNLIKE" => Rule::Unlike(Pattern::new(needed()?)?),
            "IS" => Rule::Is(needed()?.to_owned()),
            "CLUSTER" => match value {
                Some(value) => Rule::Is(value.to_owned()),
                None => return Err(ConstraintError::ClusterOfChance { field: named() }),
            },
            "UNIQUE" if value.is_some() => return Err(ConstraintError::UniqueWithValue { field: named() }),
            "UNIQUE" => Rule::MaxPer(1),
            "MAX_PER" => {
                let value = needed()?.trim();
                let most = value.parse().ok().filter(|most| *most > 0);
                Rule::MaxPer(most.ok_or_else(|| ConstraintError::NoNumber { value: value.to_owned() })?)
            }
            "GROUP_BY" => return Err(ConstraintError::GroupBy { field: named() }),
            _ => return Err(ConstraintError::UnknownOperator { operator }),
        };
        let parsed = match field {
            "hostname" | "@hostname" => Field::Hostname,
            "@region" => Field::Region,
            "@zone" => Field::Zone,
            other if other.starts_with('@') => return Err(ConstraintError::UnknownField { field: named() }),
            other => Field::Attribute(other.to_owned()),
        };
        let value = value.map(|value| format!(":{value}")).unwrap_or_default();
        Ok(Self { field: parsed, rule, text: format!("{field}:{operator}{value}") })
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, ConstraintError> {
        let error = |source| ConstraintError::Pattern { pattern: text.to_owned(), source };
        // By itself, so that a parenthesis of ours closes none of its.
        Regex::new(text).map_err(error)?;
        let whole = Regex::new(&format!(r"\A(?:{text})\z")).map_err(error)?;
        Ok(Self { text: text.to_owned(), whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        for text in ["rack:LIKE:a:b", r#"["rack","LIKE","a:b"]"#, r#"[["rack","like","a:b"]]"#] {
            let all = Constraint::parse_all(text).expect("is a constraint");
            assert_eq!(all[0].to_string(), "rack:LIKE:a:b");
        }
        assert_eq!(
            Constraint::parse_all(r#"["hostname","UNIQUE"]"#).expect("is one")[0].to_string(),
            "hostname:UNIQUE"
        );
    }

    #[test]
    fn what_means_nothing_here_is_refused_with_words() {
        for (text, word) in [
            ("rack", "FIELD:OPERATOR:VALUE"),
            (":LIKE:x", "FIELD:OPERATOR:VALUE"),
            ("[1]", "FIELD:OPERATOR:VALUE"),
            (r#"["a"]"#, "FIELD:OPERATOR:VALUE"),
            ("rack:GROUP_BY", "rack:MAX_PER:N"),
            ("rack:GROUP_BY:3", "rack:MAX_PER:N"),
            ("rack:CLUSTER", "rack:CLUSTER:VALUE"),
            ("rack:NEAR:x", "NEAR"),
            ("rack:LIKE", "rack:LIKE:VALUE"),
            ("rack:LIKE:", "rack:LIKE:VALUE"),
            ("rack:LIKE:(", "`(`"),
            ("rack:LIKE:a)(b", "regular expression"),
            ("rack:UNIQUE:2", "rack:MAX_PER:N"),
            ("rack:MAX_PER:0", "`0`"),
            ("rack:MAX_PER:two", "`two`"),
            ("@rack:IS:x", "@rack"),
        ] {
            let error = Constraint::parse_all(text).expect_err(text).to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
