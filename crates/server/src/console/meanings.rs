//! What each setting means, in Chinese, for the page of settings. In English it stands beside the
//! setting itself, in `config`, from where the reference of settings is made, too.

/// Settings as `section.key`, in their order, with their meaning.
const MEANINGS: &[(&str, &str)] = &[
    ("node.name", "节点名称，显示在日志和页面中。"),
    ("node.data", "标识记录库所在的文件夹。"),
    ("node.control", "本机命令管理运行中节点所用的套接字。"),
    (
        "node.case_sensitive",
        "后缀仅大小写不同时，是否算作不同的标识。建库时确定，之后不能更改。",
    ),
    ("site.address", "客户端访问本节点的地址。"),
    ("site.domain", "HTTP 和 HTTPS 使用的域名（如有）。"),
    ("site.serial", "站点记录的序号。公布内容有变时请加大。"),
    (
        "site.primary",
        "本站点接受修改（主站），还是只存副本（镜像）。",
    ),
    ("site.description", "给人看的说明。"),
    (
        "site.record",
        "多台服务器共用的站点记录文件（siteinfo.json 或 siteinfo.bin），本节点是其中一台；地\
        址、域名、序号、主站和说明以该文件为准。留空：本节点自成一个站点。",
    ),
    ("site.server_id", "本节点在该站点记录中的服务器编号。"),
    (
        "site.key",
        "节点私钥：2048 至 4096 位 RSA，PEM 格式的 PKCS#8，或无口令的 Handle.Net 密钥文件。",
    ),
    ("listen.udp", "原生协议的 UDP 监听地址。"),
    ("listen.tcp", "原生协议的 TCP 监听地址。"),
    (
        "listen.http",
        "HTTP 和 HTTPS 的监听地址，同一端口两者皆可。",
    ),
    (
        "listen.console",
        "控制台（含指标和健康检查）的地址，请勿对外开放。留空则不提供。",
    ),
    (
        "listen.udp_threads",
        "每个 UDP 地址的线程数，0 表示每核一个。",
    ),
    (
        "listen.udp_first",
        "上述线程是否先于本机其他一切工作运行，使应答在导入期间也不必等待处理器核心。仅限 Linux，需\
        要 systemd 单元的 LimitRTPRIO=1 或 CAP_SYS_NICE，否则不起作用。仅在这些线程占用不到全部核心\
        的一半时如此，因此查询泛滥不会挤占其他工作。",
    ),
    (
        "listen.worker_threads",
        "从内存应答 TCP 和 HTTP 的线程数，需要等待的请求另有同样多的线程；0 表示每核一个。",
    ),
    (
        "http.certificate",
        "PEM 格式的证书链。留空：自动生成自签名证书，写明 site.domain、site.address、listen.h\
        ttp 各地址和本机，并按时更新。",
    ),
    ("http.certificate_key", "证书的私钥，PEM 格式。"),
    (
        "http.client_certificates",
        "HTTPS 是否要求客户端出示证书。证书中的公钥证明其身份，主题为“索引:标识”。浏览器也会\
        因此询问用户。",
    ),
    (
        "http.metrics_allow",
        "可以从 HTTP 地址读取 /metrics 的网段。",
    ),
    ("http.list_allow", "可以通过 HTTP 列出前缀下标识的网段。"),
    (
        "http.proxy",
        "访问 /标识 时，是否把浏览器转到标识所指的网址。",
    ),
    ("http.json_body_max", "请求 JSON 正文的最大长度。"),
    (
        "compatible.doip",
        "是否提供 /api/v1/：按其 SDK 的方式提供元数据模板、标识和授权。",
    ),
    (
        "compatible.snms",
        "是否像二级节点系统（SNMS）那样提供 /identity/、/identityv2/ 和 /snms/api/。",
    ),
    (
        "compatible.day_digest",
        "以上接口的客户端是否可用当日摘要代替密码登录（/identity/token/v1）。看到摘要的人在当\
        天午夜前都能用它登录。",
    ),
    (
        "onboarding.open",
        "任何人不必表明身份就可申请入驻并提交材料的前缀。留空：仅限有权在该前缀下注册的人。",
    ),
    (
        "onboarding.waiting_max",
        "每个前缀下，此类申请最多有多少份等待审核。",
    ),
    (
        "files.folder",
        "文件所在的文件夹。备份包含这些文件，镜像不包含。",
    ),
    ("files.file_max", "单个文件的最大长度。"),
    ("files.total_max", "全部文件合计的最大长度。"),
    (
        "files.unnamed_time",
        "从未被任何值引用的文件保留多久，0s 表示永久保留。",
    ),
    (
        "store.memory",
        "内存用量：常用记录、从磁盘读入的数据块，以及尚未落盘的写入。",
    ),
    (
        "store.index",
        "可据以查找记录的值类型，如 EMAIL。每种类型都会占用磁盘并减慢写入。从这里去掉的类型，\
        其索引保留到用命令关闭为止。",
    ),
    (
        "recurse.allow",
        "为哪些网段解析不在本节点的标识。留空：不为任何人解析。只填自己的网段：开放的递归节点\
        会被用来攻击他人。",
    ),
    (
        "recurse.root",
        "写明根节点位置的文件：root_info、bootstrap_handles、siteinfo.json 或 siteinfo.bin。\
        根节点之后公布的内容保存在 run/root_info，比此文件新时以其为准。",
    ),
    (
        "recurse.root_addresses",
        "代替上述文件的根服务器地址。这样不知道其公钥，无法验证签名应答。",
    ),
    ("recurse.cache", "缓存其他节点应答的内存用量。"),
    (
        "recurse.cache_file",
        "节点停止期间保存缓存的文件。留空：启动时缓存为空。",
    ),
    (
        "recurse.negative_ttl",
        "“标识不存在”的结论记住多久，0s 表示不记。",
    ),
    (
        "recurse.stale",
        "无法从任何来源更新时，过期应答还可使用多久（会标明已过期）。",
    ),
    ("recurse.ttl_max", "应答最多保留多久，不论其 TTL 是多少。"),
    ("recurse.prefetch", "常用应答是否在到期前不久自动更新。"),
    (
        "recurse.timeout",
        "解析一个问题的时限，从询问第一台服务器算起。",
    ),
    (
        "recurse.pending_max",
        "最多同时进行多少个解析；超出的会被告知节点繁忙。",
    ),
    (
        "recurse.verify",
        "记录是否必须有签名证明才能给出（信任谁见 trust.roots）：off 不要求；if-signed 拒绝签\
        名错误、过期、已吊销或无法验证的记录；required 只给出已签名的记录。",
    ),
    (
        "recurse.sockets",
        "发出问题所用的 UDP 套接字数。伪造应答者必须猜中用的是哪一个。",
    ),
    (
        "administration.server_admins",
        "可以托管和取消托管前缀、查看托管列表的身份。",
    ),
    (
        "administration.server_admin_full_access",
        "上述身份是否还可以做其他一切操作，不论记录如何规定。",
    ),
    (
        "administration.replication_admins",
        "可以作为镜像跟随本节点的身份。它们会收到所有的值，包括受限的值和密钥。",
    ),
    (
        "administration.anonymous_admin_full_access",
        "是否任何人都可以修改一切。仅用于测试：除非全部监听地址都在本机，否则拒绝启动。",
    ),
    ("administration.challenge_time", "回答质询的时限。"),
    ("login.idle_timeout", "令牌多久不用即失效。"),
    (
        "login.plain_http_allow",
        "允许通过明文 HTTP 使用密码和令牌的网段（途中可能被窃看）。HTTPS 不受此限。",
    ),
    (
        "trust.roots",
        "所信任的根公钥文件：任何格式的公钥、JSON 格式的 0.0/0.0 记录，或 bootstrap_handles \
        文件。",
    ),
    (
        "trust.sign_key",
        "写入记录时为其签名的私钥：RSA、Ed25519 或 SM2，未加密。留空：不签名。镜像从不签名。",
    ),
    (
        "trust.sign_as",
        "该私钥的身份：存放其公钥的值的索引和标识。",
    ),
    (
        "trust.sign_span",
        "签名的有效期。记录在后半期内被写入时会续签，guantong trust sign 也会续签。",
    ),
    (
        "records.on_delete",
        "客户端通过网络删除记录时的结果：remove 连同名称一并移除；withdraw 不再对外公开，且名\
        称不再分配。",
    ),
    (
        "records.references",
        "登记时引用其他节点上必须属于某元数据模板的标识，如何检查：check 解析该标识（需设置 r\
        ecurse.root），不存在或模板不符则拒绝；form 只检查标识格式。",
    ),
    (
        "mirror.of",
        "本节点跟随的主节点：其原生协议 TCP 的主机和端口。留空：不跟随。",
    ),
    (
        "mirror.key",
        "主节点公钥文件：PEM、HS_PUBKEY 值的数据，或 GET /api/site 显示的站点。留空：保留首次\
        连接时出示的公钥。",
    ),
    (
        "mirror.identity",
        "本节点向其他节点证明身份所用的索引和标识。对方的 administration.replication_admins \
        中须有此身份。",
    ),
    (
        "mirror.identity_key",
        "该身份的私钥。留空：使用节点私钥 site.key。",
    ),
    (
        "mirror.poll_interval",
        "主节点没有新变更时最多等待多久才应答；主节点不等待时，则为两次询问的间隔。",
    ),
    (
        "mirror.standby",
        "本节点无法访问时可自行接管的那个镜像的身份。留空则没有。",
    ),
    (
        "mirror.lease",
        "最后一次收到备用节点消息后，本节点继续接受修改的时间；备用节点等待同样久才接管。0：\
        不限，接管须强制进行。",
    ),
    (
        "mirror.acknowledge",
        "修改何时算完成：落到本节点磁盘时，或同时落到备用节点磁盘时（没有备用节点则为任一镜像\
        ）。",
    ),
    (
        "mirror.acknowledge_timeout",
        "修改等待镜像确认的最长时间，超过则报告为不确定。",
    ),
    ("mirror.feeds", "最多同时服务多少个镜像。"),
    (
        "mirror.clear_streams",
        "是否服务不支持 TLS 的 2.8 版以前的镜像：所有内容（包括受限的值和密钥）将只签名、不加\
        密地经过网络。",
    ),
    (
        "limits.connections",
        "最多同时有多少个连接，TCP 与 HTTP 合计。",
    ),
    (
        "limits.connections_per_address",
        "同一地址最多同时有多少个连接。",
    ),
    ("limits.idle_timeout", "连接多久没有请求即关闭。"),
    (
        "limits.message_timeout",
        "消息开始后必须在此时间内到齐，应答也必须在此时间内被取走。",
    ),
    (
        "limits.requests_per_second_per_address",
        "同一地址通过 TCP 和 HTTP 每秒最多多少个请求；超出的会被减慢或拒绝。0 表示不限。",
    ),
    (
        "limits.udp_response_max",
        "UDP 应答的最大长度；更长时告知客户端改用 TCP。",
    ),
    (
        "limits.udp_octets_per_second_per_network",
        "每秒向同一网络（IPv4 /24、IPv6 /56）通过 UDP 发送的最大长度。0 表示不限。",
    ),
    (
        "limits.signatures_per_second",
        "每秒最多签名多少个应答，所有客户端合计。一次签名占用一个核半毫秒；超出后，本应签名的\
        应答不带签名发出。",
    ),
    (
        "limits.trusted",
        "不受上述两项每秒限制的网段。本机回环地址无法从外部伪造。",
    ),
    (
        "limits.stop_timeout",
        "节点停止时，进行中的请求还有多少时间。",
    ),
    ("log.level", "日志的详细程度。"),
    ("log.format", "日志行的格式。"),
];

/// The meaning of a setting.
pub(super) fn meaning(section: &str, key: &str) -> Option<&'static str> {
    let is_it = |name: &str| name.split_once('.') == Some((section, key));
    let found = MEANINGS.iter().find(|(name, _)| is_it(name));
    found.map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_explained_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("guantong.toml");
        std::fs::write(&file, "").unwrap();
        let settings = crate::config::settings(&file).unwrap();
        let names = settings
            .iter()
            .map(|one| format!("{}.{}", one.section, one.key));
        let explained = MEANINGS.iter().map(|(name, _)| (*name).to_owned());
        assert_eq!(
            explained.collect::<Vec<_>>(),
            names.collect::<Vec<_>>(),
            "add a setting here when you add it to the configuration"
        );
    }
}
