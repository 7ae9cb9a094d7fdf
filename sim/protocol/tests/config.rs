//! The configuration: layout, limits, negotiation.

use proptest::prelude::*;
use rstest::rstest;
use vdi_protocol::config::{ConfigField, Limit};
use vdi_protocol::{
    Direction, Features, HResult, ServerConfig, VdConfig, negotiate, validate_client_config,
};
use zerocopy::{FromBytes, IntoBytes};

const SERVER: ServerConfig = ServerConfig {
    features: Features::WRITE_MEDIA,
    block_size: 512,
    alignment: 0,
    max_transfer_size: 0x1_0000,
    time_out: 10_000,
};

fn client() -> VdConfig {
    VdConfig { device_count: 1, ..VdConfig::default() }
}

/// Catches: a field moved, widened or dropped.
#[test]
fn fields_lie_where_the_header_puts_them() {
    let config = VdConfig {
        device_count: 1,
        features: 2,
        prefix_zone_size: 3,
        alignment: 4,
        soft_file_mark_block_size: 5,
        eom_warning_size: 6,
        server_time_out: 7,
        block_size: 8,
        max_io_depth: 9,
        max_transfer_size: 10,
        buffer_area_size: 11,
    };
    let words: Vec<u8> = (1u32..=11).flat_map(u32::to_ne_bytes).collect();
    assert_eq!(config.as_bytes(), words);
    assert_eq!(words.len(), 44);
    assert_eq!(VdConfig::read_from_bytes(&words).expect("44 bytes"), config);
}

/// Catches: a limit that is off by one, a field that is not checked, a wrong field in the error.
#[rstest]
#[case(VdConfig { device_count: 0, ..client() }, ConfigField::DeviceCount, 0)]
#[case(VdConfig { device_count: 65, ..client() }, ConfigField::DeviceCount, 65)]
#[case(VdConfig { device_count: u32::MAX, ..client() }, ConfigField::DeviceCount, u32::MAX)]
#[case(VdConfig { alignment: 3, ..client() }, ConfigField::ClientAlignment, 3)]
#[case(VdConfig { alignment: 65535, ..client() }, ConfigField::ClientAlignment, 65535)]
#[case(VdConfig { alignment: 0x2_0000, ..client() }, ConfigField::ClientAlignment, 0x2_0000)]
#[case(VdConfig { prefix_zone_size: 65537, ..client() }, ConfigField::PrefixZoneSize, 65537)]
#[case(
    VdConfig { soft_file_mark_block_size: 65537, ..client() },
    ConfigField::SoftFileMarkBlockSize, 65537
)]
fn what_create_refuses(#[case] config: VdConfig, #[case] field: ConfigField, #[case] value: u32) {
    let error = validate_client_config(&config).expect_err("beyond a limit");
    assert_eq!((error.field, error.value), (field, value));
    assert_eq!(error.status(), HResult::VD_E_NOTSUPPORTED);
    let text = error.to_string();
    assert!(text.contains(&field.to_string()) && text.contains(&value.to_string()), "{text}");
    assert!(text.ends_with('.'), "{text}");
}

/// Catches: a limit that is too narrow, output fields that are checked on input, odd features
/// that are refused.
#[rstest]
#[case(client())]
#[case(VdConfig { device_count: 64, ..client() })]
#[case(VdConfig { alignment: 1, ..client() })]
#[case(VdConfig { alignment: 65536, prefix_zone_size: 65536, ..client() })]
#[case(VdConfig { soft_file_mark_block_size: 65536, ..client() })]
#[case(VdConfig { features: 0xFFFF_FFFF, ..client() })]
#[case(VdConfig { eom_warning_size: u32::MAX, server_time_out: u32::MAX, ..client() })]
#[case(VdConfig { block_size: 7, max_io_depth: 99, max_transfer_size: 1, ..client() })]
#[case(VdConfig { buffer_area_size: u32::MAX, ..client() })]
fn what_create_accepts(#[case] config: VdConfig) {
    assert_eq!(validate_client_config(&config), Ok(()));
}

/// Catches: a limit of BeginConfiguration that is off by one or missing.
#[rstest]
#[case(ServerConfig { block_size: 256, ..SERVER }, ConfigField::BlockSize, 256)]
#[case(ServerConfig { block_size: 0, ..SERVER }, ConfigField::BlockSize, 0)]
#[case(ServerConfig { block_size: 1000, ..SERVER }, ConfigField::BlockSize, 1000)]
#[case(ServerConfig { block_size: 0x2_0000, ..SERVER }, ConfigField::BlockSize, 0x2_0000)]
#[case(ServerConfig { alignment: 256, ..SERVER }, ConfigField::ServerAlignment, 256)]
#[case(
    ServerConfig { block_size: 4096, alignment: 512, ..SERVER }, ConfigField::ServerAlignment, 512
)]
#[case(ServerConfig { alignment: 0x2_0000, ..SERVER }, ConfigField::ServerAlignment, 0x2_0000)]
#[case(ServerConfig { alignment: 768, ..SERVER }, ConfigField::ServerAlignment, 768)]
#[case(ServerConfig { max_transfer_size: 0, ..SERVER }, ConfigField::MaxTransferSize, 0)]
#[case(ServerConfig { max_transfer_size: 65537, ..SERVER }, ConfigField::MaxTransferSize, 65537)]
#[case(
    ServerConfig { max_transfer_size: 0x41_0000, ..SERVER },
    ConfigField::MaxTransferSize, 0x41_0000
)]
#[case(ServerConfig { features: Features::empty(), ..SERVER }, ConfigField::ServerFeatures, 0)]
fn what_begin_configuration_refuses(
    #[case] config: ServerConfig,
    #[case] field: ConfigField,
    #[case] value: u32,
) {
    let error = config.validate().expect_err("beyond a limit");
    assert_eq!((error.field, error.value), (field, value));
    assert_eq!(error.status(), HResult::VD_E_INVALID);
    assert!(!error.limit.admits(value));
    assert!(error.to_string().ends_with('.'));
}

/// Catches: a limit of BeginConfiguration that is too narrow.
#[rstest]
#[case(SERVER)]
#[case(ServerConfig { alignment: 512, ..SERVER })]
#[case(ServerConfig { block_size: 65536, alignment: 65536, ..SERVER })]
#[case(ServerConfig { block_size: 65536, alignment: 0, ..SERVER })]
#[case(ServerConfig { max_transfer_size: 0x40_0000, ..SERVER })]
#[case(ServerConfig { features: Features::READ_MEDIA, time_out: u32::MAX, ..SERVER })]
#[case(ServerConfig { features: Features::WRITE_MEDIA | Features::READ_MEDIA, ..SERVER })]
fn what_begin_configuration_accepts(#[case] config: ServerConfig) {
    assert_eq!(config.validate(), Ok(()));
}

/// Catches: a sentence without the limit that was broken.
#[test]
fn a_refusal_says_what_to_set() {
    let error = validate_client_config(&VdConfig { device_count: 65, ..client() }).unwrap_err();
    assert_eq!(error.limit, Limit::Between { min: 1, max: 64 });
    assert_eq!(
        error.to_string(),
        "VDConfig.deviceCount is 65, but it must be from 1 to 64; set it so and call again."
    );
}

/// Catches: a plain backup that answers anything but 0x10000, as a real server does.
#[test]
fn a_plain_backup_answers_write_media() {
    let answer = negotiate(&client(), &SERVER, 0x40_0000);
    assert_eq!(
        answer,
        VdConfig {
            device_count: 1,
            features: 0x10000,
            alignment: 512,
            block_size: 512,
            max_io_depth: 4,
            max_transfer_size: 0x1_0000,
            buffer_area_size: 0x40_0000,
            ..VdConfig::default()
        }
    );
    assert_eq!(answer.features().direction(), Some(Direction::Backup));
}

/// Catches: VDC_Complete enabled for a client that did not ask, or by a server that does not
/// offer it, or not enabled when both do.
#[rstest]
#[case(true, true, true)]
#[case(true, false, false)]
#[case(false, true, false)]
#[case(false, false, false)]
fn complete_is_enabled_if_asked_and_offered(
    #[case] asked: bool,
    #[case] offered: bool,
    #[case] enabled: bool,
) {
    let asked = if asked { Features::REQUEST_COMPLETE } else { Features::empty() };
    let features = asked.answer(Direction::Restore, offered);
    assert_eq!(features.contains(Features::COMPLETE_ENABLED), enabled);
    assert_eq!(features.direction(), Some(Direction::Restore));
    let client = VdConfig { features: asked.bits(), ..client() };
    let answer = negotiate(&client, &ServerConfig { features, ..SERVER }, 0);
    assert_eq!(answer.features(), features);
    // A server that insists does not get it through either.
    let insists = features | Features::COMPLETE_ENABLED;
    let answer = negotiate(&client, &ServerConfig { features: insists, ..SERVER }, 0);
    assert_eq!(answer.features().contains(Features::COMPLETE_ENABLED), !asked.is_empty());
}

/// Catches: a server's refusal of a feature that does not reach the client.
#[test]
fn a_server_can_withdraw_a_feature() {
    let client = VdConfig { features: 0x480, ..client() };
    let granted = Features::WRITE_MEDIA | Features::DISCARD;
    let answer = negotiate(&client, &ServerConfig { features: granted, ..SERVER }, 0);
    assert_eq!(answer.features(), granted);
}

/// Values that a limit may be about, most of them legal somewhere, and any others now and then.
fn near_a_limit() -> impl Strategy<Value = u32> {
    prop_oneof![
        8 => 0..=66u32,
        4 => power_of_two(0, 17),
        2 => 65535..=65537u32,
        1 => any::<u32>(),
    ]
}

fn power_of_two(low: u32, high: u32) -> impl Strategy<Value = u32> {
    (low..=high).prop_map(|exponent| 1 << exponent)
}

prop_compose! {
    fn valid_client()(
        device_count in 1..=64u32,
        features: u32,
        prefix_zone_size in 0..=65536u32,
        alignment in prop_oneof![Just(0), power_of_two(0, 16)],
        soft_file_mark_block_size in 0..=65536u32,
        eom_warning_size: u32,
        server_time_out: u32,
        outputs: [u32; 4],
    ) -> VdConfig {
        VdConfig {
            device_count,
            features,
            prefix_zone_size,
            alignment,
            soft_file_mark_block_size,
            eom_warning_size,
            server_time_out,
            block_size: outputs[0],
            max_io_depth: outputs[1],
            max_transfer_size: outputs[2],
            buffer_area_size: outputs[3],
        }
    }
}

prop_compose! {
    fn valid_server()(
        (block, alignment) in (9..=16u32).prop_flat_map(|block| (Just(block), block..=16)),
        default_alignment: bool,
        units in 1..=64u32,
        time_out: u32,
        bits: u32,
        direction in prop_oneof![Just(Features::WRITE_MEDIA), Just(Features::READ_MEDIA)],
    ) -> ServerConfig {
        ServerConfig {
            features: Features::from_bits_retain(bits) | direction,
            block_size: 1 << block,
            alignment: if default_alignment { 0 } else { 1 << alignment },
            max_transfer_size: units * 65536,
            time_out,
        }
    }
}

proptest! {
    /// Catches: an alignment below what either half needs, a bit that nobody asked for or that
    /// was not granted, an output that is the client's leftover, an input that is not echoed.
    #[test]
    fn any_two_valid_halves_make_a_sound_configuration(
        client in valid_client(), server in valid_server(), area: u32,
    ) {
        prop_assert_eq!(validate_client_config(&client), Ok(()));
        prop_assert_eq!(server.validate(), Ok(()));
        let answer = negotiate(&client, &server, area);

        prop_assert!(answer.alignment.is_power_of_two() && answer.alignment <= 65536);
        prop_assert!(answer.alignment >= server.block_size);
        prop_assert!(answer.alignment >= client.alignment.max(server.alignment));
        let least = client.alignment.max(server.alignment).max(server.block_size);
        prop_assert_eq!(answer.alignment, least);

        let (asked, got) = (client.features(), answer.features());
        prop_assert_eq!(got.direction(), server.features.direction());
        prop_assert!(asked.contains(got - Features::SERVER_BITS));
        prop_assert!(server.features.contains(got));
        prop_assert_eq!(
            got.contains(Features::COMPLETE_ENABLED),
            asked.contains(Features::REQUEST_COMPLETE)
                && server.features.contains(Features::COMPLETE_ENABLED)
        );

        prop_assert_eq!(answer.max_io_depth, 4);
        prop_assert_eq!(answer.block_size, server.block_size);
        prop_assert_eq!(answer.max_transfer_size, server.max_transfer_size);
        prop_assert_eq!(answer.max_transfer_size % answer.block_size, 0);
        prop_assert_eq!(answer.buffer_area_size, area);
        prop_assert_eq!(
            (answer.device_count, answer.prefix_zone_size, answer.soft_file_mark_block_size,
             answer.eom_warning_size, answer.server_time_out),
            (client.device_count, client.prefix_zone_size, client.soft_file_mark_block_size,
             client.eom_warning_size, client.server_time_out)
        );
    }

    /// Catches: a check that panics, or that lets a value through which the rules forbid.
    #[test]
    fn any_bytes_are_judged_by_the_rules(words in proptest::array::uniform11(near_a_limit())) {
        let config = VdConfig::read_from_bytes(words.as_bytes()).expect("44 bytes");
        let legal = (1..=64).contains(&words[0])
            && words[2] <= 65536
            && (words[3] == 0 || words[3].is_power_of_two() && words[3] <= 65536)
            && words[4] <= 65536;
        prop_assert_eq!(validate_client_config(&config).is_ok(), legal);
    }

    /// Catches: an answer that grants the client's own idea of a server bit.
    #[test]
    fn a_willing_server_grants_what_was_asked(bits: u32, offers: bool) {
        let asked = Features::from_bits_retain(bits);
        for direction in [Direction::Backup, Direction::Restore] {
            let answer = asked.answer(direction, offers);
            prop_assert_eq!(answer.direction(), Some(direction));
            prop_assert_eq!(
                answer - Features::SERVER_BITS, asked - Features::SERVER_BITS
            );
            prop_assert_eq!(
                answer.contains(Features::COMPLETE_ENABLED),
                offers && asked.contains(Features::REQUEST_COMPLETE)
            );
        }
    }
}
