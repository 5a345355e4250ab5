//! The filters, one file each, named after the plugin.
