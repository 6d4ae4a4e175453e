//! The words of the pages in Chinese and English.
//!
//! A [`Text`] is the complete catalogue of one language, so a missing translation does not compile.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;

/// Longest `Accept-Language` that is looked at, in octets; browsers send about 60.
const ACCEPT_LANGUAGE_LEN_MAX: usize = 512;

//----------- Lang -----------------------------------------------------------

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lang {
    /// English.
    En,
    /// Simplified Chinese.
    Zh,
}

impl Lang {
    /// The language of a page: the one asked for by name, else the one the browser prefers.
    pub(crate) fn choose(asked: Option<&str>, headers: &HeaderMap) -> Self {
        if let Some(lang) = asked.and_then(Self::of_tag) {
            return lang;
        }
        let accepted = headers
            .get(ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok());
        accepted
            .filter(|text| text.len() <= ACCEPT_LANGUAGE_LEN_MAX)
            .and_then(Self::preferred)
            .unwrap_or(Self::En)
    }

    /// The known language of the highest weight; of equals, the first.
    fn preferred(accepted: &str) -> Option<Self> {
        let mut best: Option<(Self, f32)> = None;
        for range in accepted.split(',') {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or_default().trim();
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q="))
                .map_or(Some(1.0), |q| q.trim().parse::<f32>().ok())
                .filter(|weight| *weight > 0.0);
            let (Some(lang), Some(weight)) = (Self::of_tag(tag), weight) else {
                continue;
            };
            if best.is_none_or(|(_, highest)| weight > highest) {
                best = Some((lang, weight));
            }
        }
        best.map(|(lang, _)| lang)
    }

    fn of_tag(tag: &str) -> Option<Self> {
        let main = tag.split(['-', '_']).next().unwrap_or_default();
        match main.to_ascii_lowercase().as_str() {
            "zh" => Some(Self::Zh),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// The tag for `lang` attributes.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-CN",
        }
    }

    /// The value of the `lang` parameter.
    pub(crate) fn param(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The other language.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::En => Self::Zh,
            Self::Zh => Self::En,
        }
    }

    /// The catalogue.
    pub(in crate::http) fn text(self) -> &'static Text {
        match self {
            Self::En => &EN,
            Self::Zh => &ZH,
        }
    }

    /// One of two words.
    pub(crate) fn pick<T>(self, en: T, zh: T) -> T {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }
}

//----------- Text -----------------------------------------------------------

macro_rules! catalogue {
    ($($(#[doc = $doc:literal])* $name:ident: $en:literal, $zh:literal;)*) => {
        /// Every fixed text of the pages.
        #[derive(Debug)]
        pub(in crate::http) struct Text {
            $($(#[doc = $doc])* pub(in crate::http) $name: &'static str,)*
        }

        static EN: Text = Text { $($name: $en,)* };
        static ZH: Text = Text { $($name: $zh,)* };
    };
}

catalogue! {
    // Frame.
    product: "Guantong", "贯通";
    skip: "Skip to the content", "跳到正文";
    other_language: "中文", "English";
    search_label: "Handle", "标识";
    search_hint: "for example 88.118.5/…", "例如 88.118.5/…";
    search: "Resolve", "解析";
    footer: "Guantong, node of an identifier-resolution network", "贯通，标识解析网络节点";

    // Record.
    record: "Record", "标识记录";
    prefix_record: "Prefix record", "前缀记录";
    values: "Values", "值";
    index: "Index", "索引";
    kind: "Type", "类型";
    data: "Data", "数据";
    access: "Access", "权限";
    changed: "Changed", "更新时间";
    lifetime: "Lifetime", "缓存时间";
    references: "Refers to", "引用";
    as_text: "As text", "查看原文";
    no_values: "This record has no value that anyone may read.", "此记录没有可公开读取的值。";
    none_selected: "The record has none of the values asked for.", "记录中没有所请求的值。";
    selected_only: "Only the values asked for are shown.", "仅显示所请求的值。";
    show_all: "Show all", "显示全部";
    handle: "Handle", "标识";
    prefix: "Prefix", "前缀";
    json: "As JSON", "JSON 数据";
    go_to_target: "Go to the target", "前往目标";
    address: "Address of this page", "本页地址";
    qr: "QR code of the address", "地址二维码";
    about_record: "About this record", "关于此记录";
    value_count: "Values", "值的数量";
    last_change: "Last change", "最近更新";
    never: "not stated", "未注明";
    until: "until", "有效至";

    // Signature.
    signature: "Signature", "签名";
    signature_valid: "valid", "有效";
    signature_invalid: "not valid", "无效";
    signature_undecided: "could not be checked", "无法验证";
    signature_none: "not signed", "未签名";
    signature_unjudged: "not checked", "未验证";
    signature_no_roots:
        "This node believes no root key (trust.roots).", "本节点未配置信任的根密钥（trust.roots）。";
    signed_by: "by", "签名者";
    signature_endless: "without an end", "长期有效";
    signature_expired: "It has expired.", "已过期。";
    signature_not_yet: "It is not valid yet.", "尚未生效。";
    signature_changed: "The values are not what was signed.", "值与签名不符。";
    signature_of_another: "It is the signature of another record.", "这是其他记录的签名。";
    signature_forged: "It was not made with the certified key.", "并非由经认证的密钥签署。";
    signature_revoked: "The key is revoked.", "密钥已吊销。";
    signature_not_permitted: "The key may not sign this record.", "该密钥无权签署此记录。";
    signature_no_certificate: "A certificate is missing.", "缺少证书。";
    signature_other_root: "It rests on another root.", "其根密钥不受信任。";
    signature_unreachable: "A record that is needed could not be had.", "未能取得所需的记录。";

    // Access.
    reads: "read", "读";
    writes: "write", "写";
    anyone: "anyone", "所有人";
    administrators: "administrators", "管理员";
    nobody: "nobody", "无人";

    // Typed values.
    administrator: "Administrator", "管理员";
    may: "May", "权限";
    everything: "everything", "全部操作";
    any_key: "any key", "任一密钥";
    key: "Key", "密钥";
    fingerprint: "SHA-256 fingerprint", "SHA-256 指纹";
    bits: "bits", "位";
    site: "Site", "站点";
    primary: "primary", "主站点";
    mirror: "mirror", "镜像";
    multi_primary: "one of several primaries", "多主站点之一";
    serial: "serial", "序列号";
    protocol: "protocol", "协议";
    server: "Server", "服务器";
    resolution: "resolution", "解析";
    administration: "administration", "管理";
    out_of_service: "out of service", "停用";
    no_key: "no key", "无密钥";
    octets: "octets", "字节";
    empty: "empty", "空";
    secret_held_back: "A secret key is never shown.", "密钥内容从不显示。";
    shortened: "Shortened here; the JSON form has all of it.", "此处有删节，完整内容见 JSON。";

    // Series.
    series: "Series", "数据序列";
    latest: "Latest", "最新";
    unit: "Unit", "单位";
    topic: "Topic", "主题";
    figure_kind: "Sort of figure", "指标类型";
    period: "Period", "时期";
    value: "Figure", "数值";
    source: "Source", "来源";
    note: "Note", "备注";
    inferred: "date inferred", "日期为推断";
    no_period: "no date given", "未给出日期";
    exact: "exact", "准确值";
    over: "over", "超过";
    under: "just under", "近";
    about: "about", "约";
    from_to: "bar: the period", "横条：统计时期";

    answered_from: "Answered from", "应答来源";
    source_network: "the network", "网络解析";
    source_cache: "the cache", "缓存";
    source_stale:
        "the cache, past its time: nobody who could renew it answers",
        "缓存（已过期：能够更新它的服务器均无应答）";

    // Start page.
    start_title: "Identifier node", "标识解析节点";
    start_lead:
        "Every thing has one name. This node answers for the names under its prefixes.",
        "万物皆有唯一标识。本节点为其负责的前缀提供权威解析。";
    start_how:
        "Enter a handle to see its record. Programs get the same record by the native protocol over \
         UDP and TCP, and as JSON.",
        "输入标识即可查看其记录。程序可通过 UDP、TCP 原生协议或 JSON 接口获取同一记录。";
    homed: "Homed prefixes", "本节点负责的前缀";
    homed_none: "No prefix is homed yet.", "尚未负责任何前缀。";
    homed_hint: "Home one with `guantong prefix home 88.118.5`.",
        "可用 `guantong prefix home 88.118.5` 添加。";
    records: "records", "条记录";
    one_record: "record", "条记录";
    samples: "Some records", "部分记录";
    for_programs: "For programs", "程序接口";
    api_record: "one record as JSON", "单条记录的 JSON";
    api_site: "the site record", "站点记录";
    api_prefixes: "the homed prefixes", "负责的前缀";

    // Errors.
    try_next: "What to try next", "接下来可以尝试";
    request_id: "Request id", "请求编号";
    not_found: "There is no such record", "没有这条记录";
    not_found_lead:
        "Nothing is registered under this handle, says the server that is responsible for it.",
        "负责该前缀的服务器上尚未注册此标识。";
    not_found_spelling:
        "Compare the handle letter by letter; a dot or slash at the end belongs to it.",
        "请逐字核对标识，末尾的点或斜杠也是标识的一部分。";
    not_found_prefix: "Look at the prefix record.", "查看前缀记录。";
    not_responsible: "Another node is responsible", "由其他节点负责";
    not_responsible_lead:
        "This node does not home the prefix of this handle and does not ask other nodes.",
        "本节点不负责该标识的前缀，也不向其他节点转发查询。";
    not_responsible_global: "Ask the global registry.", "向全球注册系统查询。";
    referral: "Another service answers for this handle", "由其他服务应答";
    referral_lead: "The record is delegated; ask there.", "该记录已委派，请到以下位置查询。";
    bad_request: "This request cannot be understood", "无法理解此请求";
    bad_request_lead: "Something in the address is not as it should be.", "地址有误。";
    forbidden: "These values are not public", "这些值不公开";
    forbidden_lead: "An administrator can read them with a signed request.",
        "管理员可通过签名请求读取。";
    withdrawn: "This record is withdrawn", "此记录已注销";
    withdrawn_lead:
        "The name stays taken, so that it will never mean something else.",
        "标识予以保留，不会另作他用。";
    withdrawn_reason: "Reason", "原因";
    withdrawn_since: "Since", "注销时间";
    withdrawn_successor: "Successor", "替代标识";
    removed: "This record was removed", "此记录已删除";
    removed_lead:
        "It was here once. Now the name means nothing, and it may be given again.",
        "该标识曾登记于此，现已不指向任何内容，将来可能重新分配。";
    removed_when: "Removed", "删除时间";
    inactive: "This namespace is not active", "此命名空间未启用";
    busy: "The node has too much to do", "节点繁忙";
    busy_lead: "Try again in a few seconds.", "请几秒后重试。";
    broken: "The node could not answer", "节点无法应答";
    broken_lead: "The cause is in its log under the request id.", "原因可按请求编号在日志中查找。";
    to_start: "Go to the start page.", "返回首页。";
    other_error: "This did not work", "请求未成功";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &str) -> Lang {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, text.parse().unwrap());
        Lang::choose(None, &headers)
    }

    #[test]
    fn browser_preference_decides() {
        assert_eq!(accept("zh-CN,zh;q=0.9,en;q=0.8"), Lang::Zh);
        assert_eq!(accept("en-GB,zh;q=0.9"), Lang::En);
        assert_eq!(accept("en;q=0.1, zh-Hant;q=0.5"), Lang::Zh);
        assert_eq!(accept("de, fr;q=0.5"), Lang::En);
        assert_eq!(accept("de, zh;q=0.5"), Lang::Zh);
        assert_eq!(accept("zh;q=0, en;q=0.1"), Lang::En);
        assert_eq!(accept("*;q=x,,;"), Lang::En);
        assert_eq!(accept(&"zh,".repeat(200)), Lang::En);
    }

    #[test]
    fn asking_by_name_wins() {
        let headers = HeaderMap::new();
        assert_eq!(Lang::choose(Some("zh"), &headers), Lang::Zh);
        assert_eq!(Lang::choose(Some("xx"), &headers), Lang::En);
    }
}
