"""Keys of clouds, hosts, databases as a service and vaults. Source: each provider's own documentation of its keys."""

from __future__ import annotations

from typing import Final

from extproc.policy.secrets.checks import digits_too, random_looking, varied
from extproc.policy.secrets.family import Family, Shape
from extproc.policy.secrets.parts import ALNUM, LOWER_HEX, SEPARATOR, URLSAFE, named, prefixed

_BASE64: Final = "[A-Za-z0-9+/]"
_UUID: Final = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

FAMILIES: Final = (
    Family("aws_access_key_id", "cloud", "AWS access key ids", (
        prefixed(r"\b(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])", r"[A-Z0-9]{16}\b", None),
    )),
    Family("aws_secret_access_key", "cloud", "AWS secret access keys and session tokens, by name", (
        named("secret[_-]?access[_-]?key|aws[_.-]?secret|aws[_.-]?sk", _BASE64 + "{40,41}", most=40),
        named("session[_-]?token", _BASE64 + "{100,900}={0,2}"),
    )),
    Family("azure_storage_key", "cloud", "Azure storage and Cosmos account keys", (
        Shape("(?i:AccountKey)", _BASE64 + "{86}==", random_looking, lead=SEPARATOR),
    )),
    Family("azure_shared_access", "cloud", "Azure shared access keys and signatures", (
        Shape("(?i:SharedAccessKey)", _BASE64 + "{43}=", random_looking, lead=SEPARATOR),
        Shape("(?i:[?&;]sig=)", "[A-Za-z0-9+/%]{40,90}(?:=|%3[Dd])", random_looking, lead="(?:)"),
    )),
    Family("azure_client_secret", "cloud", "Azure (Entra) client secrets", (
        prefixed(r"\b[A-Za-z0-9_~.]{3}\dQ~", "[A-Za-z0-9_~.-]{31,35}", most=34),
    )),
    Family("azure_devops", "cloud", "Azure DevOps personal access tokens, by name", (
        named("azure[_-]?devops|ado[_-]?pat|vsts", r"[a-z2-7]{52}\b"),
    )),
    Family("google_oauth", "cloud", "Google OAuth client secrets, access and refresh tokens", (
        prefixed(r"GOCSPX-", URLSAFE + "{24,32}"),
        prefixed(r"\bya29\.", URLSAFE + "{20,400}", more=r"[\w-]"),
        prefixed(r"\b1//0", URLSAFE + "{40,120}"),
    )),
    Family("gcp_service_account", "cloud", "Key ids of Google service accounts; their keys are private_key", (
        Shape("private_key_id", r"[0-9a-f]{40}\b", varied, lead=SEPARATOR),
    )),
    Family("ibm_cloud", "cloud", "IBM Cloud, Cloudant, COS and SoftLayer keys, by name", (
        named("ibm|iam[_-]?api[_-]?key|bluemix|cloud[_-]iam", URLSAFE + "{44,45}", most=44),
        named(r"cloudant|\bcl[_-]", r"[a-z]{24}\b|[0-9a-f]{64}\b", varied),
        named(r"softlayer|\bsl[_-]", LOWER_HEX + r"{64}\b"),
        named("cos[_-]hmac|secret[_-]?access[_-]?key", LOWER_HEX + r"{48}\b"),
    )),
    Family("alibaba_cloud", "cloud", "Alibaba Cloud access key ids", (prefixed(r"\bLTAI", ALNUM + r"{16,26}\b"),)),
    Family("tencent_cloud", "cloud", "Tencent Cloud secret ids", (prefixed(r"\bAKID", ALNUM + r"{32}\b"),)),
    Family("yandex_cloud", "cloud", "Yandex Cloud keys and tokens", (
        prefixed(r"\bAQVN", URLSAFE + "{35,40}"),
        prefixed(r"\bt1\.", r"[A-Za-z0-9_-]{40,300}={0,2}\.[A-Za-z0-9_-]{60,100}={0,2}"),
    )),
    Family("digitalocean", "cloud", "DigitalOcean tokens", (prefixed(r"\bdo[oprt]_v1_", LOWER_HEX + "{64}"),)),
    Family("heroku", "cloud", "Heroku keys", (
        prefixed(r"\bHRKU-", URLSAFE + "{36,64}"),
        named("heroku", _UUID),
    )),
    Family("cloudflare", "cloud", "Cloudflare tokens, by name and in their own shapes", (
        named(r"cloudflare|\bcf[_-]", r"(?:[A-Za-z0-9_-]{40}|[0-9a-f]{37})\b"),
        prefixed(r"\bv1\.0-", "[0-9a-f]{24}-[0-9a-f]{146}"),
        prefixed(r"\bcf(?:ut|at|k)_", URLSAFE + "{40,64}"),
    )),
    Family("fastly", "cloud", "Fastly tokens, by name", (named("fastly", URLSAFE + "{32,33}", most=32),)),
    Family("scaleway", "cloud", "Scaleway access keys; secret keys by name", (
        prefixed(r"\bSCW", r"[A-Z0-9]{17}\b", digits_too),
        named(r"scw[_-]secret|scaleway", _UUID),
    )),
    Family("linode", "cloud", "Linode and Vultr tokens, by name", (
        named("linode", LOWER_HEX + r"{64}\b"),
        named("vultr", r"[A-Z0-9]{36}\b"),
    )),
    Family("fly_io", "cloud", "Fly.io tokens", (
        prefixed(r"\bfo1_", URLSAFE + "{43}"),
        prefixed(r"\bfm[12][ar]?_", "[A-Za-z0-9+/]{80,400}={0,2}", more="[A-Za-z0-9+/=,_]"),
    )),
    Family("netlify", "cloud", "Netlify tokens", (
        prefixed(r"\bnfp_", ALNUM + "{36,40}"),
        named("netlify", URLSAFE + "{43,47}", most=46),
    )),
    Family("vercel", "cloud", "Vercel tokens", (
        prefixed(r"\bvc[pikar]_", ALNUM + "{24,64}"),
        named("vercel", ALNUM + r"{24}\b"),
    )),
    Family("render", "cloud", "Render keys", (prefixed(r"\brnd_", ALNUM + "{28,36}"),)),
    Family("databricks", "cloud", "Databricks tokens", (prefixed(r"\bdapi", r"[0-9a-f]{32}(?:-\d)?\b"),)),
    Family("snowflake", "cloud", "Snowflake passwords and tokens, by name", (
        named("snowflake", r"""[^\s"'`,;<>{}()]{8,128}""", name=r"[\w.-]{0,12}(?i:password|pwd|pat|token|secret)"),
    )),
    Family("planetscale", "cloud", "PlanetScale passwords and tokens", (
        prefixed(r"\bpscale_(?:pw|tkn|oauth)_", r"[\w.=-]{32,64}"),
    )),
    Family("supabase", "cloud", "Supabase secret keys and tokens", (
        prefixed(r"\bsb_secret_", URLSAFE + "{24,48}"),
        prefixed(r"\bsbp_", r"(?:v\d_)?[0-9a-f]{40}"),
    )),
    Family("neon", "cloud", "Neon keys", (prefixed(r"\bnapi_", "[a-z0-9]{60,70}"),)),
    Family("doppler", "cloud", "Doppler tokens", (
        prefixed(r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.", r"(?:[\w-]{2,35}\.)?[A-Za-z0-9]{40,44}"),
    )),
    Family("vault", "cloud", "HashiCorp Vault tokens", (
        prefixed(r"\bhv[sbr]\.", URLSAFE + "{24,300}"),
        named("vault[_-]?token", r"[sbr]\.[A-Za-z0-9]{24}\b"),
    )),
    Family("terraform", "cloud", "Terraform Cloud tokens", (  # the fourteen characters before are no secret by themselves
        prefixed(r"\.atlasv1\.", URLSAFE + "{60,70}"),
    )),
    Family("pulumi", "cloud", "Pulumi tokens", (prefixed(r"\bpul-", LOWER_HEX + "{40}"),)),
    Family("onepassword", "cloud", "1Password secret keys and service accounts", (
        prefixed(r"\bA3-", r"[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}\b"),
        prefixed(r"\bops_eyJ", "[A-Za-z0-9+/]{80,400}", more="[A-Za-z0-9+/=]"),
    )),
)  # fmt: skip
