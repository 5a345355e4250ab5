//! `labels.allow`: which labels the operator allows, to whom, and with which names.

use std::str::FromStr;

use thiserror::Error;

use crate::configs::matching::fits;
use crate::discovery::Container;
use crate::pipeline::lang::similar::suggestion;

/// Which labels mean something, and at which containers. None do by default.
///
/// Written as rules with `;` between them, each a list of words for labels. `role=PATTERN:` or `framework=PATTERN:` at its beginning
/// restricts a rule to tasks of such a role or framework (its id or its name). `filter` and `output` take the names of the configurations that may be asked for, which may be patterns:
/// `codec multiline; role=web: paths filter=nginx,java output=web-*`. `*` stands for all labels but these two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelRules(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    who: Who,
    grants: Vec<(Family, Vec<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Everybody,
    Role(String),
    Framework(String),
}

/// Labels that are allowed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Paths,
    Exclude,
    Output,
    Codec,
    Multiline,
    Lines,
    Fields,
    Filter,
    /// To which output events go, not the container's standard output.
    Destination,
}

impl Family {
    const ALL: [(&'static str, Self); 9] = [
        ("paths", Self::Paths),
        ("exclude", Self::Exclude),
        ("stdout", Self::Output),
        ("codec", Self::Codec),
        ("multiline", Self::Multiline),
        ("lines", Self::Lines),
        ("fields", Self::Fields),
        ("filter", Self::Filter),
        ("output", Self::Destination),
    ];

    /// Whether a rule must say which names may be asked for.
    fn takes_names(self) -> bool {
        matches!(self, Self::Filter | Self::Destination)
    }

    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, family)| *family == self).map_or("", |(word, _)| word)
    }
}

/// Why `labels.allow` is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RuleError {
    /// A word is none of those that there are.
    #[error("`{word}` is no label: {remedy}")]
    Unknown {
        /// As it was written.
        word: String,
        /// The nearest word, or all there are.
        remedy: String,
    },
    /// `filter` or `output` without names, or another label with some.
    #[error("{0}")]
    Names(String),
    /// A rule for nobody, or of nothing.
    #[error("the rule `{0}` allows nothing: write `role=NAME: LABEL LABEL`")]
    Empty(String),
}

impl FromStr for LabelRules {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        text.split(';')
            .map(str::trim)
            .filter(|rule| !rule.is_empty())
            .map(rule)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn rule(text: &str) -> Result<Rule, RuleError> {
    let pattern = |name: &str| text.strip_prefix(name).and_then(|rest| rest.split_once(':'));
    let (who, words) = if let Some((role, words)) = pattern("role=") {
        (Who::Role(role.trim().to_owned()), words)
    } else if let Some((framework, words)) = pattern("framework=") {
        (Who::Framework(framework.trim().to_owned()), words)
    } else {
        (Who::Everybody, text)
    };
    let mut grants = Vec::new();
    for word in words.split_whitespace() {
        if word == "*" {
            let nameless = Family::ALL.iter().filter(|(_, family)| !family.takes_names());
            grants.extend(nameless.map(|(_, family)| (*family, Vec::new())));
            continue;
        }
        let (word, names) = word.split_once('=').map_or((word, None), |(word, names)| (word, Some(names)));
        let Some((_, family)) = Family::ALL.iter().find(|(known, _)| *known == word) else {
            let words = || Family::ALL.iter().map(|(word, _)| *word);
            let all = || format!("there are {}", words().collect::<Vec<_>>().join(", "));
            let remedy = suggestion(word, words()).unwrap_or_else(all);
            return Err(RuleError::Unknown { word: word.to_owned(), remedy });
        };
        let names = names.into_iter().flat_map(|names| names.split(','));
        let names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match (family.takes_names(), names.is_empty()) {
            (true, true) => {
                let problem =
                    format!("`{word}` needs the names that may be asked for: write `{word}=NAME,NAME`");
                return Err(RuleError::Names(problem));
            }
            (false, false) => {
                return Err(RuleError::Names(format!("`{word}` takes no names: write `{word}` alone")));
            }
            _ => grants.push((*family, names)),
        }
    }
    let nobody = matches!(&who, Who::Role(name) | Who::Framework(name) if name.is_empty());
    if nobody || grants.is_empty() {
        return Err(RuleError::Empty(text.to_owned()));
    }
    Ok(Rule { who, grants })
}

impl LabelRules {
    /// The setting that holds them.
    pub(in crate::configs) const SETTING: &str = "labels.allow";

    /// Whether no label means anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `container` may use the labels of `family`, and then the names that it may ask for.
    pub(super) fn grants<'r>(&'r self, container: &Container, family: Family) -> Option<Vec<&'r str>> {
        let task = container.mesos.as_ref();
        let fits_some = |pattern: &str, name: Option<&String>| name.is_some_and(|name| fits(pattern, name));
        let rules = self.0.iter().filter(|rule| match &rule.who {
            Who::Everybody => true,
            Who::Role(role) => fits_some(role, task.and_then(|task| task.role.as_ref())),
            Who::Framework(framework) => {
                fits_some(framework, task.and_then(|task| task.framework_id.as_ref()))
                    || fits_some(framework, task.and_then(|task| task.framework_name.as_ref()))
            }
        });
        let grants = rules.flat_map(|rule| &rule.grants).filter(|(granted, _)| *granted == family);
        let mut is_granted = false;
        let mut names = Vec::new();
        for (_, granted) in grants {
            is_granted = true;
            names.extend(granted.iter().map(String::as_str));
        }
        is_granted.then_some(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::MesosTask;

    fn task(role: &str, framework: &str) -> Container {
        let mesos = MesosTask {
            role: Some(role.to_owned()),
            framework_id: Some("f-0001".to_owned()),
            framework_name: Some(framework.to_owned()),
            ..MesosTask::default()
        };
        Container { mesos: Some(mesos), ..Container::new("8f0fb7b4", "web", "") }
    }

    #[test]
    fn labels_are_allowed_to_everybody_to_a_role_and_to_a_framework() {
        let rules: LabelRules =
            "codec; role=web*: filter=nginx,java output=web; framework=marathon: *; framework=f-0*: filter=db-*"
                .parse()
                .unwrap();
        let anybody = Container::new("8f0fb7b4", "web", "");
        assert_eq!(rules.grants(&anybody, Family::Codec), Some(vec![]));
        assert_eq!(rules.grants(&anybody, Family::Paths), None);
        assert_eq!(rules.grants(&anybody, Family::Filter), None);
        let web = task("web-1", "aurora");
        assert_eq!(rules.grants(&web, Family::Filter), Some(vec!["nginx", "java", "db-*"]));
        assert_eq!(rules.grants(&web, Family::Destination), Some(vec!["web"]));
        assert_eq!(rules.grants(&web, Family::Paths), None);
        let marathon = task("db", "marathon");
        assert_eq!(rules.grants(&marathon, Family::Paths), Some(vec![]));
        assert_eq!(rules.grants(&marathon, Family::Destination), None, "`*` offers no names");
        assert!(LabelRules::default().grants(&web, Family::Codec).is_none());
        assert!(" ; ".parse::<LabelRules>().unwrap().is_empty());
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_refused_with_the_remedy() {
        for (text, says) in [
            ("codek", "did you mean `codec`?"),
            ("colour", "there are paths, exclude"),
            ("filter", "write `filter=NAME,NAME`"),
            ("output=", "write `output=NAME,NAME`"),
            ("codec=json", "write `codec` alone"),
            ("codec; role=web:", "`role=web:` allows nothing"),
            ("role=: codec", "allows nothing"),
        ] {
            let error = text.parse::<LabelRules>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
