//! What a configuration holds that only those should see who may change it.

use super::variables::{Substituted, Variables, substitute};
use crate::lang::ast::{Attribute, Config, Plugin, Statement, Value, ValueKind};
use crate::lang::{PluginKind, Span, parse};
use crate::plugin::settings::Kind;
use crate::plugin::{Catalog, common};

/// Stands for what is hidden.
pub const HIDDEN: &str = "********";

/// `text` for people who may only read it. [`HIDDEN`] stands in the place of
///
/// - values of settings that take a password, and of settings and keys of hashes that are called so;
/// - names and passwords in URLs;
/// - what is set in comments, where old passwords live on.
///
/// A value that is nothing but `${NAME}` is no secret. Of a text that cannot be parsed nothing is shown.
///
/// ```
/// use logstash_mesos_engine::{compile::without_secrets, registry};
///
/// let text = r#"filter { fingerprint { key => "s3cret" method => "SHA256" } }"#;
/// let shown = without_secrets(text, &registry::catalog());
/// assert_eq!(shown, r#"filter { fingerprint { key => "********" method => "SHA256" } }"#);
/// ```
#[must_use]
pub fn without_secrets(text: &str, catalog: &Catalog) -> String {
    let (config, complaints) = parse(text);
    if !complaints.is_empty() {
        return "# This text cannot be read, so nothing of it is shown: it may hold secrets.\n".to_owned();
    }
    let mut search = Search::new(text, catalog);
    search.config(&config);
    search.comments();
    let Search { mut secret, .. } = search;
    secret.sort_by_key(|span| span.start);
    let (mut shown, mut at) = (String::with_capacity(text.len()), 0);
    for span in secret.iter().filter(|span| span.start < span.end) {
        // A URL within a value that is hidden as a whole.
        if span.start < at {
            continue;
        }
        shown.push_str(&text[at..span.start]);
        shown.push_str(HIDDEN);
        at = span.end;
    }
    shown.push_str(&text[at..]);
    shown
}

/// The secrets of `text` themselves, their variables filled in: where texts are shown into which a filter may have put
/// them. A name and a password of a URL are one, and the password alone is another. Of a text that cannot be parsed there
/// are none.
///
/// ```
/// use logstash_mesos_engine::{compile::{Variables, secrets}, registry};
///
/// let variables = Variables::from_list([("PASSWORD".to_owned(), "s3cret".to_owned())]);
/// let text = r#"output { http { url => "http://ann:${PASSWORD}@h" } }"#;
/// assert_eq!(secrets(text, &registry::catalog(), &variables), ["ann:s3cret", "s3cret"]);
/// ```
#[must_use]
pub fn secrets(text: &str, catalog: &Catalog, variables: &Variables) -> Vec<String> {
    let (config, complaints) = parse(text);
    let mut search = Search::new(text, catalog);
    if complaints.is_empty() {
        search.config(&config);
    }
    let written = search.secret.iter().chain(&search.named).map(|span| &text[span.start..span.end]);
    let mut found = Vec::new();
    for written in written {
        match substitute(written, variables) {
            Ok(Substituted::Unchanged) => found.push(written.to_owned()),
            Ok(Substituted::Text(filled)) => found.push(filled),
            Ok(Substituted::List(filled)) => found.extend(filled),
            Err(_has_no_value) => {}
        }
    }
    let passwords = found.iter().filter_map(|secret| Some(secret.split_once(':')?.1.to_owned()));
    let passwords: Vec<_> = passwords.collect();
    found.extend(passwords);
    found
}

struct Search<'s> {
    text: &'s str,
    catalog: &'s Catalog,
    secret: Vec<Span>,
    // Variables that stand for a secret: their names are none.
    named: Vec<Span>,
    // Where `#` begins no comment.
    quoted: Vec<Span>,
}

impl<'s> Search<'s> {
    fn new(text: &'s str, catalog: &'s Catalog) -> Self {
        Self { text, catalog, secret: Vec::new(), named: Vec::new(), quoted: Vec::new() }
    }

    fn config(&mut self, config: &Config) {
        for section in &config.sections {
            self.body(section.kind.plugins(), &section.body);
        }
    }

    fn body(&mut self, kind: PluginKind, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Plugin(plugin) => self.plugin(kind, plugin),
                Statement::Branch(branch) => {
                    for arm in &branch.arms {
                        self.quoted.push(arm.condition.span);
                        self.body(kind, &arm.body);
                    }
                    self.body(kind, &branch.otherwise);
                }
            }
        }
    }

    fn plugin(&mut self, kind: PluginKind, plugin: &Plugin) {
        let own = self.catalog.find(kind, &plugin.name).map(|spec| spec.settings).unwrap_or_default();
        let settings = own.iter().chain(common::settings(kind));
        let passwords: Vec<_> =
            settings.filter(|setting| is_password(&setting.kind)).map(|setting| setting.name).collect();
        for Attribute { name, value, .. } in &plugin.attributes {
            let secret = passwords.contains(&name.as_str()) || sounds_secret(name);
            self.value(value, secret);
        }
    }

    fn value(&mut self, value: &Value, secret: bool) {
        match &value.kind {
            ValueKind::String(text) => {
                self.quoted.push(value.span);
                // Between its quotes.
                let inner = Span::new(value.span.start + 1, value.span.end.saturating_sub(1));
                match secret {
                    true if is_variable(text) => self.named.push(inner),
                    true => self.secret.push(inner),
                    false => self.urls(inner),
                }
            }
            ValueKind::Bareword(_) | ValueKind::Number(_) if secret => self.secret.push(value.span),
            ValueKind::Bareword(_) | ValueKind::Number(_) => {}
            ValueKind::Array(values) => values.iter().for_each(|value| self.value(value, secret)),
            ValueKind::Hash(entries) => {
                for (key, value) in entries {
                    self.value(key, false);
                    let name = match &key.kind {
                        ValueKind::String(name) | ValueKind::Bareword(name) => name.as_str(),
                        _ => "",
                    };
                    self.value(value, secret || sounds_secret(name));
                }
            }
            ValueKind::Plugin(plugin) => self.plugin(PluginKind::Codec, plugin),
        }
    }

    /// `scheme://user:password@host`: what is before the `@`.
    fn urls(&mut self, span: Span) {
        let text = &self.text[span.start..span.end];
        for (at, mark) in text.match_indices("://") {
            let start = at + mark.len();
            let authority =
                text[start..].split(['/', '?', '#', ' ', ',', '"', '\'']).next().unwrap_or_default();
            if let Some((credentials, _)) = authority.rsplit_once('@') {
                let start = span.start + start;
                let place = if is_variable(credentials) { &mut self.named } else { &mut self.secret };
                place.push(Span::new(start, start + credentials.len()));
            }
        }
    }

    fn comments(&mut self) {
        let mut line_start = 0;
        for line in self.text.split_inclusive('\n') {
            let is_comment = |at: &usize| {
                let at = line_start + at;
                !self.quoted.iter().any(|span| (span.start..span.end).contains(&at))
            };
            let comment = line.match_indices('#').map(|(at, _)| at).find(is_comment);
            if let Some(comment) = comment
                && let Some(set) = line[comment..].find("=>")
            {
                let value = comment + set + "=>".len();
                let text = line[value..].trim_end();
                let space = text.len() - text.trim_start().len();
                let start = line_start + value + space;
                self.secret.push(Span::new(start, start + text.trim_start().len()));
            }
            line_start += line.len();
        }
    }
}

fn is_password(kind: &Kind) -> bool {
    match kind {
        Kind::Password => true,
        Kind::List(kind) => is_password(kind),
        _ => false,
    }
}

/// Names of settings that embedders' plugins may not have declared as passwords, and of HTTP headers.
fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    ["password", "passphrase", "secret", "token", "authorization", "cookie", "api_key", "apikey"]
        .iter()
        .any(|word| name.contains(word))
}

/// `${NAME}`, without a default that might be one.
fn is_variable(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|name| !name.contains([':', '{', '}', '$']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    fn shown(text: &str) -> String {
        without_secrets(text, &registry::catalog())
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        for (text, wanted) in [
            ("output { x { password => 'a\\'#b' } } # end", "output { x { password => '********' } } # end"),
            ("output { x { password => \"${P}\" } }", "output { x { password => \"${P}\" } }"),
            ("output { x { password => \"${P:d}\" } }", "output { x { password => \"********\" } }"),
            ("output { x { api_key => abc } }", "output { x { api_key => ******** } }"),
            (
                "output { if [a] =~ /#=>/ { x { hosts => [\"http://u:p@h:9/p\", \"http://h\"] } } }",
                "output { if [a] =~ /#=>/ { x { hosts => [\"http://********@h:9/p\", \"http://h\"] } } }",
            ),
            (
                "output { x { headers => { \"Authorization\" => \"Basic z\" ab => cd } } }",
                "output { x { headers => { \"Authorization\" => \"********\" ab => cd } } }",
            ),
            ("filter {\n # password => \"old\"\n}", "filter {\n # password => ********\n}"),
            ("filter { fingerprint { key => 12 } }", "filter { fingerprint { key => ******** } }"),
            (
                "input { x { codec => y { token => \"t\" } } }",
                "input { x { codec => y { token => \"********\" } } }",
            ),
            (
                "filter { mutate { add_field => { ab => \"#=>\" } } }",
                "filter { mutate { add_field => { ab => \"#=>\" } } }",
            ),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn the_secrets_themselves_are_those_that_are_hidden() {
        let variables = Variables::from_list([("P".to_owned(), "from-outside".to_owned())]);
        let text = "output { x { password => \"${P}\" api_key => \"${NONE}\" token => \"${NONE:inside}\"
                      hosts => [\"http://${P}@h\", \"http://h/#=>\"] user => ann } } # password => \"old\"";
        let found = secrets(text, &registry::catalog(), &variables);
        assert_eq!(found, ["inside", "from-outside", "from-outside"]);
        assert!(secrets("output { x {", &registry::catalog(), &variables).is_empty());
    }

    #[test]
    fn nothing_of_a_text_that_cannot_be_parsed_is_shown() {
        assert!(!shown("output { x { password => \"s3cret").contains("s3cret"));
    }
}
