//! Settings that mean something else than they seem to: accidents of Logstash that are kept, and said.

use super::Checker;
use super::raw::{Merged, Raw};
use crate::lang::{Code, Diagnostic, Span};
use crate::plugin::PluginSpec;
use crate::plugin::settings::{Kind, Setting};

impl Checker<'_> {
    /// Warns of what the author of a setting may not expect.
    pub(super) fn surprises(&mut self, spec: &PluginSpec, setting: &Setting, merged: &Merged) {
        let Raw::Hash(entries) = &merged.raw else { return };
        if !matches!(setting.kind, Kind::Hash | Kind::Any) {
            return;
        }
        if merged.reordered && order_matters(spec.name, setting.name, entries) {
            let order: Vec<_> = entries.iter().map(|(key, _)| format!("`{}`", key.text())).collect();
            self.surprise(
                merged.span,
                format!(
                    "Logstash works through the entries of `{}` in another order than written: {}",
                    setting.name,
                    order.join(", ")
                ),
                "use several plugins, one after the other, where the order matters",
            );
        }
        // Several patterns for one field are what repeating `match` is for.
        if let Some((key, span)) = &merged.doubled
            && setting.name != "match"
            && setting.name != "add_field"
        {
            self.surprise(
                *span,
                format!("`{}` now has a list of two values for `{key}`, not the later one", setting.name),
                "keep one of them, or use two plugins",
            );
        }
        if setting.name == "add_field"
            && let Some((key, _)) = entries.iter().find(|(_, value)| matches!(value, Raw::Hash(_)))
        {
            self.surprise(
                merged.span,
                format!(
                    "the hash for `{}` becomes the text of its pairs, such as `[\"x\", \"y\"]`",
                    key.text()
                ),
                "add each field by its own reference: `\"[a][x]\" => \"y\"`",
            );
        }
    }

    fn surprise(&mut self, span: Span, message: String, remedy: &str) {
        self.complaints.push(Diagnostic::warning(Code::SURPRISE, span, message).remedy(remedy.to_owned()));
    }
}

/// Whether the result may depend on which entry comes first: patterns are tried one after the other, and a
/// value may speak of a field that another entry makes.
fn order_matters(plugin: &str, setting: &str, entries: &[(super::raw::Key, Raw)]) -> bool {
    if plugin == "grok" && setting == "match" {
        return true;
    }
    entries.iter().enumerate().any(|(at, (_, value))| {
        let Raw::Text(text) = value else { return false };
        entries.iter().enumerate().any(|(other, (key, _))| {
            let key = key.text();
            other != at && (*text == key.as_str() || text.contains(&format!("%{{{key}}}")))
        })
    })
}
