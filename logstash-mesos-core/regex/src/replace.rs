//! Going from match to match, and replacing as Ruby's `gsub` does.

use super::{Captures, MatchError, Regex, Scratch};

impl Regex {
    /// Goes through the matches that do not overlap, in order. After an empty match the search goes on one character
    /// later, as in Ruby.
    ///
    /// `each` gets the groups and says whether to go on.
    ///
    /// # Errors
    ///
    /// When the budget or the time limit ends first.
    pub fn for_each_match(
        &self,
        text: &str,
        scratch: &mut Scratch,
        mut each: impl FnMut(&Captures) -> bool,
    ) -> Result<(), MatchError> {
        let mut captures = Captures::new();
        let mut at = 0;
        while at <= text.len() && self.captures(text, at, scratch, &mut captures)? {
            let Some(whole) = captures.get(0) else { break };
            if !each(&captures) {
                break;
            }
            // With `\K` in a look-behind, a match can lie before the place where it was found.
            at = if whole.is_empty() || whole.end <= at {
                let end = whole.end.max(at);
                end + text[end..].chars().next().map_or(1, char::len_utf8)
            } else {
                whole.end
            };
        }
        Ok(())
    }

    /// Replaces every match. `None` when there is none.
    ///
    /// In the replacement `\1` to `\9` and `\k<name>` stand for groups (the former for nothing when any has a name), `\0` and `\&` for the match, `` \` `` and `\'` for
    /// what is before and after it, `\\` for a backslash.
    ///
    /// # Errors
    ///
    /// When the budget or the time limit ends first, or when the replacement names a group that is not there.
    pub fn replace_all(
        &self,
        text: &str,
        replacement: &str,
        scratch: &mut Scratch,
    ) -> Result<Option<String>, MatchError> {
        let mut result = String::new();
        let mut copied = 0;
        let mut found = false;
        let mut expanded = Ok(());
        self.for_each_match(text, scratch, |captures| {
            if let Some(whole) = captures.get(0).filter(|whole| whole.start >= copied) {
                if !found {
                    found = true;
                    result.reserve(text.len() + replacement.len());
                }
                result.push_str(&text[copied..whole.start]);
                expanded = self.expand(text, captures, replacement, &mut result);
                copied = whole.end;
            }
            expanded.is_ok()
        })?;
        expanded?;
        if !found {
            return Ok(None);
        }
        result.push_str(&text[copied..]);
        Ok(Some(result))
    }

    /// Adds the replacement of one match to `result`.
    fn expand(
        &self,
        text: &str,
        captures: &Captures,
        replacement: &str,
        result: &mut String,
    ) -> Result<(), MatchError> {
        let group = |group: usize| captures.get(group).map_or("", |range| &text[range]);
        let mut rest = replacement;
        while let Some(at) = rest.find('\\') {
            result.push_str(&rest[..at]);
            let escape = &rest[at + 1..];
            let Some(c) = escape.chars().next() else {
                rest = &rest[at..];
                break;
            };
            let mut used = c.len_utf8();
            match c {
                '0' | '&' => result.push_str(group(0)),
                '1'..='9' if self.names().next().is_some() => {}
                '1'..='9' => result.push_str(group(c as usize - '0' as usize)),
                '`' => result.push_str(captures.get(0).map_or("", |range| &text[..range.start])),
                '\'' => result.push_str(captures.get(0).map_or("", |range| &text[range.end..])),
                '\\' => result.push('\\'),
                'k' => match escape[1..].strip_prefix('<') {
                    Some(name) => {
                        let (name, _) = name.split_once('>').ok_or(MatchError::UnknownGroup)?;
                        used = name.len() + 3;
                        let (_, groups) =
                            self.names().find(|(known, _)| *known == name).ok_or(MatchError::UnknownGroup)?;
                        let last =
                            groups.iter().rev().find(|number| captures.get(**number as usize).is_some());
                        result.push_str(last.map_or("", |number| group(*number as usize)));
                    }
                    None => result.push_str("\\k"),
                },
                other => {
                    result.push('\\');
                    result.push(other);
                }
            }
            rest = &escape[used..];
        }
        result.push_str(rest);
        Ok(())
    }
}
