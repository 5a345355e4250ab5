//! Names close to one that nobody knows.

/// The names nearest to `wanted`, best first, at most three; empty when none is close.
#[must_use]
pub fn similar<'n>(wanted: &str, known: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .map(|name| {
            let part = name.len() > 3 && wanted.len() > 3 && (name.contains(wanted) || wanted.contains(name));
            (if part { 1 } else { strsim::osa_distance(wanted, name) }, name)
        })
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// `did you mean …?`, or nothing.
#[must_use]
pub fn suggestion<'n>(wanted: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let found = similar(wanted, known);
    let list: Vec<_> = found.iter().map(|name| format!("`{name}`")).collect();
    (!list.is_empty()).then(|| format!("did you mean {}?", list.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_come_first() {
        assert_eq!(similar("gork", ["grok", "json", "drop"]), ["grok"]);
        assert_eq!(similar("add_tags", ["add_tag", "add_field", "tag"]), ["add_tag"]);
        assert!(similar("elastic_apm", ["grok", "json"]).is_empty());
        assert_eq!(suggestion("mutat", ["mutate"]).as_deref(), Some("did you mean `mutate`?"));
    }
}
