//! The patterns that come with Logstash, in our own words, and where they answer otherwise.

use std::collections::HashMap;

use super::table;

/// Which of the sets that come with Logstash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternSet {
    /// With the field names from before the Elastic Common Schema.
    Legacy,
    /// With the field names of the Elastic Common Schema.
    EcsV1,
}

static TABLES: &[&str] = &[
    include_str!("patterns/aws.grok"),
    include_str!("patterns/bacula.grok"),
    include_str!("patterns/core.grok"),
    include_str!("patterns/databases.grok"),
    include_str!("patterns/firewalls.grok"),
    include_str!("patterns/haproxy.grok"),
    include_str!("patterns/httpd.grok"),
    include_str!("patterns/java.grok"),
    include_str!("patterns/nagios.grok"),
    include_str!("patterns/network.grok"),
    include_str!("patterns/ruby.grok"),
    include_str!("patterns/syslog.grok"),
    include_str!("patterns/zeek.grok"),
];

/// The definitions of a set by name.
pub(super) fn definitions(set: PatternSet) -> HashMap<String, String> {
    table::read(TABLES, set == PatternSet::EcsV1)
}

/// Patterns, or the fields they make, that answer better than those of Logstash, and how; with them those that are made
/// of them.
pub static DIFFERENCES: &[(&str, &str)] = &[
    ("BACULA_CAPACITY", "Digits with commas between them. In Logstash signs may stand between them."),
    (
        "BRO_*, ZEEK_*, CLOUDFRONT_ACCESS_LOG",
        "A column ends at the next tab. In Logstash it runs over tabs when a line has more columns than the pattern.",
    ),
    (
        "CISCOFW106006_106007_106010, CISCOFW313001_313004_313008",
        "`interface` of the old field names holds the interface. In Logstash it is empty and left out.",
    ),
    (
        "CISCOFW302013_302014_302015_302016",
        "The user is in `[source][user][name]`. In Logstash that name lacks its last bracket.",
    ),
    (
        "IPV6",
        "An address that ends like one of IPv4 is taken whole (`::ffff:192.0.2.1`), and a zone ends with its name \
         (`fe80::1%eth0`). In Logstash a search stops before the first dot, and a zone runs to the end of the text.",
    ),
    (
        "RAILS3PROFILE",
        "The time of `ActiveRecord` is a number where it stands alone too. In Logstash it is a text there.",
    ),
    (
        "RT_FLOW_EVENT",
        "Matches the events, with either field names. With those of ECS only its own name in Logstash.",
    ),
    ("SECOND", "A leap second is taken whole (`60`). A search of Logstash finds `6`."),
    (
        "SYSLOGBASE2",
        "One host with the old field names. In Logstash several that touch each other, of which the last counts.",
    ),
    (
        "URI, ELB_URI, HAPROXYURI, HAPROXYHTTPBASE",
        "A password ends before `/`, `?`, `#` and white space. In Logstash it runs to the next `@`, over host and \
         path.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_use_only_parts_that_they_define() {
        for set in [PatternSet::Legacy, PatternSet::EcsV1] {
            for (name, definition) in definitions(set) {
                assert!(!definition.contains("<<"), "{name} is {definition}");
            }
        }
    }
}
