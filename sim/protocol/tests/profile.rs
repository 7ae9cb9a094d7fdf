//! Profiles and the limits of a statement.

use proptest::prelude::*;
use rstest::rstest;
use vdi_protocol::statement::{
    StatementError, check_block_size, check_buffer_count, check_device_count,
    check_max_transfer_size,
};
use vdi_protocol::{Direction, Features, Profile, ServerConfig};

/// Catches: a default, version or offer that drifts.
#[rstest]
#[case("default", 1 << 20, true, "13.0.5026", 852)]
#[case("sql2008", 65536, false, "10.50.1600", 661)]
#[case("sql2016", 1 << 20, true, "13.0.5026", 852)]
#[case("sql2019", 1 << 20, true, "15.0.2000", 904)]
#[case("sql2019-linux", 1 << 20, true, "15.0.2000", 904)]
#[case("sql2022", 1 << 20, true, "16.0.1000", 957)]
fn profiles_are_as_documented(
    #[case] name: &str,
    #[case] max_transfer_size: u32,
    #[case] offers_complete: bool,
    #[case] version: &str,
    #[case] database_version: u16,
) {
    let profile: Profile = name.parse().expect("a profile");
    assert_eq!(profile.name, name);
    assert_eq!(profile.block_size, 512);
    assert_eq!(profile.max_transfer_size, max_transfer_size);
    assert_eq!(profile.offers_complete, offers_complete);
    assert_eq!(profile.version.to_string(), version);
    assert_eq!(profile.database_version, database_version);
    let newest = if name == "default" { 957 } else { database_version };
    assert_eq!(profile.restores_up_to, newest);
    assert_eq!(profile.refuses_disk.is_some(), name == "sql2019-linux");
}

/// Catches: a new default profile, a list with a hole, a refusal that does not say what exists.
#[test]
fn profiles_are_found_by_name() {
    let Profile { name, restores_up_to, .. } = Profile::default();
    assert_eq!((name, restores_up_to), ("default", 957));
    assert_eq!(
        Profile { name: "sql2016", restores_up_to: 852, ..Profile::default() },
        Profile::SQL2016
    );
    assert_eq!("SQL2022".parse(), Ok(Profile::SQL2022));
    let error = "sql2017".parse::<Profile>().unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no profile 'sql2017'; choose one of default, sql2008, sql2016, sql2019, \
         sql2019-linux, sql2022."
    );
}

/// Catches: a profile whose own defaults BeginConfiguration refuses.
#[test]
fn defaults_are_legal() {
    for profile in Profile::ALL {
        let config = ServerConfig {
            features: Features::LIKE_PIPE.answer(Direction::Backup, profile.offers_complete),
            block_size: profile.block_size,
            alignment: 0,
            max_transfer_size: profile.max_transfer_size,
            time_out: 0,
        };
        assert_eq!(config.validate(), Ok(()), "{profile}");
    }
}

/// Catches: a default pool that starves a device, is dear beyond the cap, or thin for one device.
#[rstest]
#[case(1, 1 << 20, 8)]
#[case(1, 4 << 20, 8)]
#[case(1, 65536, 8)]
#[case(4, 1 << 20, 20)]
#[case(7, 1 << 20, 32)]
#[case(8, 4 << 20, 9)]
#[case(64, 1 << 20, 65)]
#[case(64, 65536, 260)]
fn default_buffers_follow_devices_and_size(
    #[case] devices: u32,
    #[case] transfer_size: u32,
    #[case] count: u32,
) {
    assert_eq!(Profile::default().default_buffer_count(devices, transfer_size), count);
}

/// Catches: a limit that is off by one, a wrong message for a mistake.
#[rstest]
#[case(check_block_size(512), Ok(512))]
#[case(check_block_size(65536), Ok(65536))]
#[case(check_block_size(1000), Err(3253))]
#[case(check_block_size(256), Err(3250))]
#[case(check_block_size(131_072), Err(3250))]
#[case(check_block_size(-512), Err(3250))]
#[case(check_max_transfer_size(65536), Ok(65536))]
#[case(check_max_transfer_size(4_194_304), Ok(4_194_304))]
#[case(check_max_transfer_size(65535), Err(3250))]
#[case(check_max_transfer_size(100_000), Err(3217))]
#[case(check_max_transfer_size(4_259_840), Err(3250))]
#[case(check_max_transfer_size(4_294_967_296 + 65536), Err(3250))]
#[case(check_buffer_count(1), Ok(1))]
#[case(check_buffer_count(2_147_483_647), Ok(2_147_483_647))]
#[case(check_buffer_count(2_147_483_648), Err(3250))]
#[case(check_buffer_count(0), Err(3250))]
#[case(check_device_count(1), Ok(1))]
#[case(check_device_count(64), Ok(64))]
#[case(check_device_count(65), Err(3205))]
#[case(check_device_count(0), Err(3207))]
fn statements_are_held_to_their_limits(
    #[case] seen: Result<u32, StatementError>,
    #[case] expected: Result<u32, u32>,
) {
    assert_eq!(seen.map_err(|error| error.number()), expected);
    if let Err(error) = seen {
        assert!(error.to_string().ends_with("."), "{error}");
    }
}

/// Catches: a message that is not SQL Server's, or that lost its values.
#[test]
fn refusals_speak_as_sql_server_does() {
    assert_eq!(
        check_block_size(256).unwrap_err().message(),
        "The value '256' is not within range for the BLOCKSIZE parameter."
    );
    assert_eq!(
        check_block_size(513).unwrap_err().message(),
        "The block size parameter must supply a value that is a power of 2."
    );
    assert_eq!(
        check_max_transfer_size(65537).unwrap_err().message(),
        "Invalid value specified for MAXTRANSFERSIZE parameter."
    );
    assert_eq!(
        check_device_count(65).unwrap_err().message(),
        "Too many backup devices specified for backup or restore; only 64 are allowed."
    );
    assert_eq!(
        check_device_count(0).unwrap_err().message(),
        "Backup or restore requires at least one backup device. Rerun your statement specifying \
         a backup device."
    );
}

proptest! {
    /// Catches: an overflow, fewer buffers than devices, a pool above the cap without need.
    #[test]
    fn default_buffers_are_enough_and_affordable(devices: u32, transfer_size: u32) {
        let count = Profile::default().default_buffer_count(devices, transfer_size);
        prop_assert!(count > devices || devices == u32::MAX);
        let bytes = u64::from(count) * u64::from(transfer_size);
        prop_assert!(bytes <= 32 << 20 || u64::from(count) == u64::from(devices) + 1
            || devices == u32::MAX);
    }

    /// Catches: a value accepted by a statement that BeginConfiguration would refuse.
    #[test]
    fn what_a_statement_may_say_can_be_configured(
        block_size in prop_oneof![any::<u16>().prop_map(i64::from), Just(65536), any::<i64>()],
        transfer in prop_oneof![(0..70i64).prop_map(|n| n * 65536), any::<i64>()],
    ) {
        if let (Ok(block_size), Ok(max_transfer_size)) =
            (check_block_size(block_size), check_max_transfer_size(transfer))
        {
            let config = ServerConfig {
                features: Features::READ_MEDIA,
                block_size,
                alignment: 0,
                max_transfer_size,
                time_out: 0,
            };
            prop_assert_eq!(config.validate(), Ok(()));
        }
    }
}
