//! What an agent is, as far as rules about it ask.

use mesos_v1::proto::{Attribute, DomainInfo, Offer, value};

/// An agent, borrowed from an offer or from the master's list.
#[derive(Clone, Copy, Debug)]
pub struct AgentView<'a> {
    /// The id that the master gave it.
    pub agent_id: &'a str,
    /// Name of its machine.
    pub hostname: &'a str,
    /// In the order in which the agent states them; of two with one name the first counts, as in Mesos.
    pub attributes: &'a [Attribute],
    /// Its region and zone, if the operator gave them.
    pub domain: Option<&'a DomainInfo>,
}

impl<'a> AgentView<'a> {
    /// The agent that made an offer.
    pub fn of(offer: &'a Offer) -> Self {
        Self {
            agent_id: &offer.agent_id.value,
            hostname: &offer.hostname,
            attributes: &offer.attributes,
            domain: offer.domain.as_ref(),
        }
    }

    /// Name of the region that the agent's fault domain lies in, if it has one.
    pub fn region(&self) -> Option<&'a str> {
        Some(self.domain?.fault_domain.as_ref()?.region.name.as_str())
    }

    /// Name of the zone within the region, if the agent has a fault domain.
    pub fn zone(&self) -> Option<&'a str> {
        Some(self.domain?.fault_domain.as_ref()?.zone.name.as_str())
    }

    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

/// An attribute as one text, as Marathon writes it: `4`, `rack-1`, `[1-9,31000-32000]`, `{a,b}`. Ranges and the
/// items of a set are sorted.
pub fn text_of(attribute: &Attribute) -> Option<String> {
    match value::Type::try_from(attribute.r#type).ok()? {
        value::Type::Text => Some(attribute.text.as_ref()?.value.clone()),
        value::Type::Scalar => {
            let value = attribute.scalar.as_ref()?.value;
            // Mesos keeps three decimals.
            Some(format!("{}", (value * 1000.0).round() / 1000.0))
        }
        value::Type::Ranges => {
            let mut ranges: Vec<_> =
                attribute.ranges.as_ref()?.range.iter().map(|r| (r.begin, r.end)).collect();
            ranges.sort_unstable();
            let ranges: Vec<_> = ranges.iter().map(|(begin, end)| format!("{begin}-{end}")).collect();
            Some(format!("[{}]", ranges.join(",")))
        }
        value::Type::Set => {
            let mut items = attribute.set.as_ref()?.item.clone();
            items.sort_unstable();
            Some(format!("{{{}}}", items.join(",")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_attribute_has_a_text() {
        let base = |kind: value::Type| Attribute { r#type: kind.into(), ..Attribute::default() };
        let range = |begin, end| value::Range { begin, end };
        let attributes = [
            Attribute { text: Some(value::Text { value: "r 1".to_owned() }), ..base(value::Type::Text) },
            Attribute { scalar: Some(value::Scalar { value: 4.0 }), ..base(value::Type::Scalar) },
            Attribute { scalar: Some(value::Scalar { value: 1234.5 }), ..base(value::Type::Scalar) },
            Attribute {
                ranges: Some(value::Ranges { range: vec![range(31000, 32000), range(1, 9)] }),
                ..base(value::Type::Ranges)
            },
            Attribute {
                set: Some(value::Set { item: vec!["b".to_owned(), "a".to_owned()] }),
                ..base(value::Type::Set)
            },
            base(value::Type::Text),
        ];
        let texts: Vec<_> = attributes.iter().map(text_of).collect();
        let expected = ["r 1", "4", "1234.5", "[1-9,31000-32000]", "{a,b}"].map(|t| Some(t.to_owned()));
        assert_eq!(texts[..5], expected);
        assert_eq!(texts[5], None);
    }
}
