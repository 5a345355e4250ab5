//! Deployments in Elastic Cloud.

use base64::Engine;

use crate::event::Text;

/// The address of the cluster of a `cloud_id`: `LABEL:` and, in base64, `HOST$ELASTICSEARCH$KIBANA`, where each
/// part may bring a port.
pub(super) fn address(id: &str) -> Result<Text, String> {
    let encoded = id.rsplit_once(':').map_or(id, |(_, encoded)| encoded);
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .or_else(|_| base64::engine::general_purpose::STANDARD_NO_PAD.decode(encoded))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or("cannot be decoded: is it copied whole?")?;
    let mut parts = decoded.split('$');
    let (Some(host), Some(cluster)) = (parts.next(), parts.next()) else {
        return Err(format!("holds `{decoded}`, which is no host and cluster"));
    };
    let port = |part: &str| part.split_once(':').map(|(_, port)| port.to_owned());
    let name = |part: &str| part.split(':').next().unwrap_or_default().to_owned();
    let (host_name, cluster_name) = (name(host), name(cluster));
    if host_name.is_empty() || matches!(cluster_name.as_str(), "" | "undefined") {
        return Err(format!("holds `{decoded}`, which names no cluster"));
    }
    let port = port(cluster).or_else(|| port(host)).unwrap_or_else(|| "443".to_owned());
    Ok(Text::from(format!("https://{cluster_name}.{host_name}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lead_to_addresses() {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let cases = [
            (
                format!("staging:{}", encode("us-east-1.aws.found.io$abc$def")),
                "https://abc.us-east-1.aws.found.io:443",
            ),
            (encode("host.example$abc$def"), "https://abc.host.example:443"),
            (format!("a:{}", encode("host.example:9243$abc$def")), "https://abc.host.example:9243"),
            (format!("a:{}", encode("host.example:9243$abc:9244$def:1")), "https://abc.host.example:9244"),
            (format!("a:{}", encode("host.example$abc$")), "https://abc.host.example:443"),
        ];
        for (id, expected) in cases {
            assert_eq!(address(&id).unwrap(), expected, "{id}");
        }
        for wrong in ["", "a:b", "a:!!!", &encode("host"), &encode("host$undefined$k"), &encode("$abc$")] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
