use super::*;

fn problems(text: &str) -> Vec<(Option<usize>, String)> {
    let problems = parse(text, "/srv").unwrap_err();
    let mut out = Vec::new();
    for problem in problems {
        out.push((
            problem.line,
            format!("{}: {}", problem.setting, problem.text),
        ));
    }
    out
}

#[test]
fn file_with_the_version_alone_means_the_defaults() {
    assert_eq!(
        parse("version = \"v1\"", "/srv").unwrap(),
        Config::new("/srv")
    );
}

#[test]
fn written_file_is_read_back() {
    let preset = Preset {
        name: Some("north \"1\"".into()),
        address: Some("192.0.2.7".parse().unwrap()),
        primary: Some(false),
        listen: Some(PresetListen {
            native: vec![
                "192.0.2.7:2641".parse().unwrap(),
                "[::]:2641".parse().unwrap(),
            ],
            http: vec![],
            console: None,
        }),
        description: None,
        recurse: Some(PresetRecurse {
            allow: vec!["10.0.0.0/8".parse().unwrap()],
            root: Root::Addresses(vec!["192.0.2.1:2641".parse().unwrap()]),
        }),
        server_admins: vec!["300:0.NA/88.118".parse().unwrap()],
    };
    let config = parse(&file_text(&preset), "/srv").unwrap();
    assert_eq!(
        config.administration.rules.server_admins,
        preset.server_admins
    );
    assert_eq!(config.name, "north \"1\"");
    assert_eq!(config.site.address.to_string(), "192.0.2.7");
    assert!(!config.site.primary);
    assert_eq!(config.listen.tcp.len(), 2);
    assert_eq!((config.listen.http.len(), config.listen.console), (0, None));
    assert!(config.recurse.allows("10.1.2.3".parse().unwrap()));
    assert!(!config.recurse.allows("11.1.2.3".parse().unwrap()));
    let root = Root::Addresses(vec!["192.0.2.1:2641".parse().unwrap()]);
    assert_eq!(config.recurse.root, Some(root));
}

#[test]
fn every_commented_setting_is_valid_when_it_is_uncommented() {
    let text = file_text(&Preset::default());
    let open = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.contains(" = ") && !rest.contains(". ") => rest.to_owned(),
        _ => line.to_owned(),
    };
    let opened: Vec<_> = text.lines().map(open).collect();
    assert_eq!(
        parse(&opened.join("\n"), "/srv").unwrap(),
        Config::new("/srv")
    );
}

#[test]
fn three_mistakes_are_reported_at_once_with_their_lines() {
    let text = "version = \"v1\"\n[limits]\nconections = 5\nidle_timeout = \"5\"\n\
                [lissten]\n\n[site]\nserial = 70000\n";
    let problems = problems(text);
    let lines: Vec<_> = problems.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [Some(3), Some(4), Some(5), Some(8)]);
    assert!(
        problems[0].1.contains("did you mean `connections`?"),
        "{problems:?}"
    );
    assert!(
        problems[1].1.contains("the unit is missing"),
        "{problems:?}"
    );
    assert!(
        problems[2].1.contains("did you mean `listen`?"),
        "{problems:?}"
    );
    assert!(problems[3].1.contains("out of range"), "{problems:?}");
}

#[test]
fn value_out_of_bounds_names_the_bounds() {
    let problems = problems("version = \"v1\"\n[limits]\nconnections = 0\n");
    assert_eq!(
        problems,
        [(
            Some(3),
            "limits.connections: is 0; it must be from 1 to 1000000".into()
        )]
    );
}

#[test]
fn value_of_the_wrong_kind_says_what_to_write() {
    let problems = problems("version = \"v1\"\n[site]\nprimary = \"yes\"\n");
    assert_eq!(
        problems[0].1,
        "site.primary: is of the kind string; write true or false"
    );
}

#[test]
fn broken_toml_is_reported_at_its_line() {
    let problems = problems("version = \"v1\"\n[site]\nserial = = 3\n");
    assert_eq!(problems[0].0, Some(3), "{problems:?}");
    assert!(problems[0].1.contains("not TOML"), "{problems:?}");
}

#[test]
fn missing_or_other_version_is_refused() {
    assert!(problems("")[0].1.contains("version = \"v1\""));
    assert_eq!(problems("version = \"v9\"")[0].0, Some(1));
}

#[test]
fn contradiction_is_reported_at_the_line_of_its_setting() {
    let problems = problems(
        "version = \"v1\"\n[http]\ncertificate = \"c.pem\"\n[site]\naddress = \"0.0.0.0\"\n\
         [listen]\nhttp = [\"127.0.0.1:9\"]\nconsole = \"127.0.0.1:9\"\n",
    );
    let all = format!("{problems:?}");
    assert_eq!(problems[0].0, Some(3), "{all}");
    assert!(
        all.contains("site.address") && all.contains("change a port"),
        "{all}"
    );
}

#[test]
fn node_recurses_for_nobody_unless_told_for_whom() {
    assert!(!Config::new("/srv").recurse.is_on());
    let table = [
        ("allow = [\"10.0.0.0/8\"]", "recurse.allow"),
        (
            "root = \"r\"\nroot_addresses = [\"192.0.2.1:1\"]",
            "recurse.root_addresses",
        ),
        (
            "root_addresses = [\"192.0.2.1:0\"]",
            "recurse.root_addresses",
        ),
    ];
    for (text, setting) in table {
        let problems = problems(&format!("version = \"v1\"\n[recurse]\n{text}\n"));
        assert!(problems[0].1.starts_with(setting), "{problems:?}");
    }
}

#[test]
fn signatures_are_demanded_only_where_a_root_is_believed() {
    let text = |verify: &str, roots: &str| {
        format!(
            "version = \"v1\"\n[recurse]\nverify = \"{verify}\"\n[trust]\nroots = \"{roots}\"\n"
        )
    };
    for verify in ["if-signed", "required"] {
        let problems = problems(&text(verify, ""));
        assert_eq!(problems[0].0, Some(3));
        assert!(problems[0].1.contains("trust.roots"), "{problems:?}");
        assert!(parse(&text(verify, "root.pub"), "/").is_ok());
    }
    assert_eq!(parse(&text("off", ""), "/").unwrap().recurse.demand(), None);
    assert!(
        problems(&text("always", "root.pub"))[0]
            .1
            .contains("none of the choices")
    );
}

#[test]
fn node_that_anybody_may_change_is_refused_where_others_can_reach_it() {
    let text = |listen: &str| {
        format!(
            "version = \"v1\"\n[listen]\n{listen}\n\
             [administration]\nanonymous_admin_full_access = true\n"
        )
    };
    assert!(parse(&text(""), "/").is_ok());
    for listen in [
        "udp = [\"192.0.2.1:2641\"]",
        "tcp = [\"0.0.0.0:2641\"]",
        "http = [\"127.0.0.1:8000\", \"[::]:8000\"]",
    ] {
        let problems = parse(&text(listen), "/").unwrap_err();
        let setting = "administration.anonymous_admin_full_access";
        assert_eq!(problems[0].setting, setting, "{listen}");
    }
}

#[test]
fn administrators_are_identities() {
    let text = "version = \"v1\"\n[administration]\nserver_admins = [\"0.NA/88.118\"]\n";
    let problems = parse(text, "/").unwrap_err();
    assert!(
        problems[0].text.contains("300:0.NA/88.118"),
        "{}",
        problems[0].text
    );
}

#[test]
fn errors_name_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE_NAME);
    std::fs::write(&file, "version = \"v1\"\n\n[stor]\n").unwrap();
    let errors = load(dir.path()).unwrap_err();
    let text = errors.to_string();
    assert!(
        text.starts_with(&format!("{}:3: [stor]: ", file.display())),
        "{text}"
    );
}

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE_NAME);
    std::fs::write(&file, "version = \"v1\"\n[node]\ndata = \"/var/lib/x\"\n").unwrap();
    let config = load(&file).unwrap();
    assert_eq!(config.data, Path::new("/var/lib/x"));
    assert_eq!(
        config.site.key,
        dir.path().canonicalize().unwrap().join("server_key.pem")
    );
}

#[test]
fn sample_file_and_reference_are_what_the_declaration_says() {
    check_file("etc/guantong.toml", &file_text(&Preset::default()));
    check_file("docs/reference/settings.md", &reference());
}

/// Compares a file of the repository with what it should be; writes it if `UPDATE_FILES` is set.
fn check_file(path: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    if std::env::var_os("UPDATE_FILES").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is out of date: run the tests once with UPDATE_FILES=1",
        path.display()
    );
}

#[test]
fn file_above_the_limit_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guantong.toml");
    let of_len = |len: u64| {
        let comment = "#".repeat(usize::try_from(len).unwrap() - VERSION_LINE.len());
        std::fs::write(&file, format!("{VERSION_LINE}{comment}")).unwrap();
        load(folder.path())
    };
    const VERSION_LINE: &str = "version = \"v1\"\n";
    of_len(FILE_LEN_MAX).unwrap();
    let error = of_len(FILE_LEN_MAX + 1).unwrap_err();
    assert!(
        format!("{error:?}").contains("a configuration has at most"),
        "{error:?}"
    );
}
