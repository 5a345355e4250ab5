//! `syslog_pri`: facility and severity out of a syslog priority.

use bigdecimal::{BigDecimal, ToPrimitive};
use num_bigint::{BigInt, Sign, ToBigInt};

use crate::compat::ruby;
use crate::event::{Event, Text, Value};
use crate::plugin::field::{Failed, Field};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static SYSLOG_PRI: PluginSpec = PluginSpec {
    name: "syslog_pri",
    doc: "Splits a syslog priority into facility and severity.",
    settings: &[
        Setting::new("use_labels", Kind::Boolean, "Adds the names too.").default(Default::Bool(true)),
        Setting::new("syslog_pri_field_name", Kind::String, "The field with the priority."),
        Setting::new("facility_labels", Kind::Array, "The names of facilities.").default(Default::Strings(
            &[
                "kernel",
                "user-level",
                "mail",
                "daemon",
                "security/authorization",
                "syslogd",
                "line printer",
                "network news",
                "uucp",
                "clock",
                "security/authorization",
                "ftp",
                "ntp",
                "log audit",
                "log alert",
                "clock",
                "local0",
                "local1",
                "local2",
                "local3",
                "local4",
                "local5",
                "local6",
                "local7",
            ],
        )),
        Setting::new("severity_labels", Kind::Array, "The names of severities.").default(Default::Strings(
            &["emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"],
        )),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, context: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let field = |old, ecs| settings.field_of(context.ecs.select(old, ecs));
    Ok(Box::new(SyslogPri {
        source: match settings.text("syslog_pri_field_name") {
            Some(name) => settings.field_of(&name),
            None => field("syslog_pri", "[log][syslog][priority]"),
        },
        facility_code: field("syslog_facility_code", "[log][syslog][facility][code]"),
        severity_code: field("syslog_severity_code", "[log][syslog][severity][code]"),
        facility_name: field("syslog_facility", "[log][syslog][facility][name]"),
        severity_name: field("syslog_severity", "[log][syslog][severity][name]"),
        labels: settings.bool("use_labels"),
        facilities: settings.strings("facility_labels"),
        severities: settings.strings("severity_labels"),
    }))
}

#[derive(Clone, Debug)]
struct SyslogPri {
    source: Field,
    facility_code: Field,
    severity_code: Field,
    facility_name: Field,
    severity_name: Field,
    labels: bool,
    facilities: Vec<Text>,
    severities: Vec<Text>,
}

impl Filter for SyslogPri {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.apply(event).is_ok() {
            cx.matched(event);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl SyslogPri {
    fn apply(&self, event: &mut Event) -> Result<(), Failed> {
        let priority = match event.get(self.source.get()?) {
            None | Some(Value::Null | Value::Bool(false)) => BigInt::from(13),
            Some(Value::List(items)) => items.first().map_or_else(BigInt::default, to_i),
            Some(value) => to_i(value),
        };
        let severity = (&priority & BigInt::from(7)).to_usize().unwrap_or(0);
        let facility: BigInt = priority >> 3;
        event.set(self.severity_code.get()?, i64::try_from(severity).unwrap_or(0))?;
        event.set(self.facility_code.get()?, ruby::integer(facility.clone()))?;
        if !self.labels {
            return Ok(());
        }
        let count = BigInt::from(self.facilities.len());
        if facility >= count {
            event.tag("_syslogpriparsefailure");
            return Ok(());
        }
        // Ruby counts a negative index from the end.
        let index = if facility.sign() == Sign::Minus { facility + count } else { facility };
        if let Some(name) = index.to_usize().and_then(|index| self.facilities.get(index)) {
            event.set(self.facility_name.get()?, name.clone())?;
        }
        if let Some(name) = self.severities.get(severity) {
            event.set(self.severity_name.get()?, name.clone())?;
        }
        Ok(())
    }
}

/// `to_i`, of any size.
fn to_i(value: &Value) -> BigInt {
    match value {
        Value::Int(number) => BigInt::from(*number),
        Value::BigInt(number) => (**number).clone(),
        Value::Float(number) => {
            BigDecimal::try_from(*number).ok().and_then(|it| it.to_bigint()).unwrap_or_default()
        }
        Value::Decimal(number) => number.to_bigint().unwrap_or_default(),
        Value::Text(text) => ruby::string_to_i(text),
        _ => BigInt::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::EcsCompatibility;
    use crate::testing::{build_with, fields, json_event, run};

    fn priority(value: &str) -> String {
        let mut filter = build_with(&SYSLOG_PRI, "{}", EcsCompatibility::Disabled).unwrap();
        let mut event = json_event(&format!(r#"{{"syslog_pri":{value}}}"#));
        run(&mut *filter, &mut event);
        fields(&event).replace("syslog_", "").replacen(&format!("\"pri\":{value},"), "", 1)
    }

    #[test]
    fn priorities_are_split() {
        assert_eq!(
            priority("165"),
            r#"{"severity_code":5,"facility_code":20,"facility":"local4","severity":"notice"}"#
        );
        assert_eq!(
            priority("\"34\""),
            r#"{"severity_code":2,"facility_code":4,"facility":"security/authorization","severity":"critical"}"#
        );
        assert_eq!(
            priority("null"),
            r#"{"severity_code":5,"facility_code":1,"facility":"user-level","severity":"notice"}"#
        );
        assert_eq!(
            priority("-1"),
            r#"{"severity_code":7,"facility_code":-1,"facility":"local7","severity":"debug"}"#
        );
        assert_eq!(
            priority("192"),
            r#"{"severity_code":0,"facility_code":24,"tags":["_syslogpriparsefailure"]}"#
        );
    }
}
