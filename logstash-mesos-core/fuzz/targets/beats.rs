//! Any bytes as frames between a beat and Logstash, plain and inside a compressed frame, in pieces of any size.
#![no_main]

use std::io::Write;

use logstash_mesos_core::testing::beats::frames;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let mut bytes = data.to_vec();
    if mode & 1 == 1 {
        let mut compressor = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        compressor.write_all(data).expect("memory takes everything");
        let compressed = compressor.finish().expect("memory takes everything");
        bytes = b"2W\0\0\0\x022C".to_vec();
        bytes.extend_from_slice(&u32::try_from(compressed.len()).expect("it is short").to_be_bytes());
        bytes.extend_from_slice(&compressed);
    }
    let whole = frames(&bytes, bytes.len().max(1));
    let pieces = frames(&bytes, usize::from(mode >> 1) + 1);
    // What stands before the place that is wrong may have been read, or not: that depends on the pieces.
    assert_eq!(whole.is_ok(), pieces.is_ok());
    if whole.is_ok() {
        assert_eq!(whole, pieces);
    }
});
