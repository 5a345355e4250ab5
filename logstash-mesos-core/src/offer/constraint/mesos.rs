//! Rules for the master, so that it does not make offers that nobody wants (since Mesos 1.11).

use super::re2::reads_alike;
use super::{Constraint, Field, Pattern, Rule};
use mesos_v1::proto::attribute_constraint::{Predicate, Selector, predicate, selector};
use mesos_v1::proto::offer_constraints::{RoleConstraints, role_constraints::Group};
use mesos_v1::proto::{AttributeConstraint, OfferConstraints};

/// What the master can check of `constraints`, and that no host is one of `excluded`; the same for each of
/// `roles`. `None` if there is nothing to check: an empty group would fail the whole call.
///
/// It never excludes an agent that our own check accepts. The master takes a field that is not there as we do, and
/// an attribute that is no text as one that fits.
pub fn offer_constraints<'a>(
    constraints: &[Constraint],
    excluded: impl IntoIterator<Item = &'a str>,
    roles: &[String],
) -> Option<OfferConstraints> {
    let not_named = |name: &str| {
        let predicate =
            predicate::Predicate::TextNotEquals(predicate::TextNotEquals { value: name.to_owned() });
        attribute_constraint(&Field::Hostname, predicate)
    };
    let mut all: Vec<_> = excluded.into_iter().map(not_named).collect();
    all.extend(constraints.iter().filter_map(of));
    if all.is_empty() {
        return None;
    }
    let constraints = RoleConstraints { groups: vec![Group { attribute_constraints: all }] };
    let of_role = |role: &String| (role.clone(), constraints.clone());
    Some(OfferConstraints { role_constraints: roles.iter().map(of_role).collect() })
}

fn of(constraint: &Constraint) -> Option<AttributeConstraint> {
    use predicate::Predicate as P;
    let regex = |pattern: &Pattern| reads_alike(&pattern.text).then(|| pattern.text.clone());
    let predicate = match &constraint.rule {
        Rule::Like(pattern) => P::TextMatches(predicate::TextMatches { regex: regex(pattern)? }),
        Rule::Unlike(pattern) => P::TextNotMatches(predicate::TextNotMatches { regex: regex(pattern)? }),
        Rule::Is(value) => P::TextEquals(predicate::TextEquals { value: value.clone() }),
        Rule::MaxPer(_) => P::Exists(predicate::Exists {}),
    };
    Some(attribute_constraint(&constraint.field, predicate))
}

fn attribute_constraint(field: &Field, predicate: predicate::Predicate) -> AttributeConstraint {
    use selector::PseudoattributeType;
    let pseudo = |kind: PseudoattributeType| selector::Selector::PseudoattributeType(kind.into());
    let selector = match field {
        Field::Hostname => pseudo(PseudoattributeType::Hostname),
        Field::Region => pseudo(PseudoattributeType::Region),
        Field::Zone => pseudo(PseudoattributeType::Zone),
        Field::Attribute(name) => selector::Selector::AttributeName(name.clone()),
    };
    AttributeConstraint {
        selector: Selector { selector: Some(selector) },
        predicate: Predicate { predicate: Some(predicate) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(texts: &[&str], excluded: &[&str]) -> Option<OfferConstraints> {
        let parse = |text: &&str| Constraint::parse_all(text).expect("is a constraint");
        let constraints: Vec<_> = texts.iter().flat_map(parse).collect();
        let roles = ["a", "b"].map(str::to_owned);
        offer_constraints(&constraints, excluded.iter().copied(), &roles)
    }

    #[test]
    fn what_the_master_can_check_is_sent_for_every_role() {
        let texts = ["rack:LIKE:r.*", "rack:UNLIKE:(?!x)y", "@zone:IS:z", "x:MAX_PER:2", "hostname:UNIQUE"];
        let sent = sent(&texts, &["h"]).expect("there is something");
        assert_eq!(sent.role_constraints.keys().collect::<Vec<_>>(), ["a", "b"]);
        let groups = &sent.role_constraints["a"].groups;
        assert_eq!(groups.len(), 1);
        // All but the pattern that RE2 does not know.
        assert_eq!(groups[0].attribute_constraints.len(), 5);
    }

    #[test]
    fn nothing_to_check_is_no_group_at_all() {
        assert_eq!(sent(&[], &[]), None);
        assert_eq!(sent(&["rack:LIKE:(?i)x"], &[]), None);
    }
}
