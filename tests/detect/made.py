"""Made-up secrets of every family's shape, for tests and measurements. None of them was ever valid.

A template's ``{A36}`` stands for 36 random letters and digits; the other alphabets are below. ``|`` is dropped: it keeps
prefixes apart, so that no scanner takes this file for a leak. Keys with a checksum have it computed.
"""

import base64
import random
import re
import string
import zlib

ALPHABETS = {
    "A": string.ascii_letters + string.digits,
    "L": string.ascii_letters,
    "U": string.ascii_uppercase + string.digits,
    "l": string.ascii_lowercase + string.digits,
    "x": string.digits + "abcdef",
    "d": string.digits,
    "w": string.ascii_letters + string.digits + "_-",
    "b": string.ascii_letters + string.digits + "+/",
    "7": string.ascii_lowercase + "234567",
}
_PLACE = re.compile(r"\{([A-Za-z7])(\d+)\}")

UUID = "{x8}-{x4}-{x4}-{x4}-{x12}"

TEMPLATES = {
    "openai": ["sk|-{A20}T3Blbk|FJ{A20}", "sk|-proj-{w74}T3Blbk|FJ{w74}", "sk|-svcacct-{w74}T3Blbk|FJ{w74}",
               "sk|-admin-{w58}T3Blbk|FJ{w58}",
               "sk|-{x32}", "sk|-{A48}"],
    "anthropic": ["sk|-ant-api03-{w93}AA", "sk|-ant-admin01-{w93}AA", "sk|-ant-oat01-{w93}AA"],
    "google_api_key": ["AI|za{w35}"],
    "huggingface": ["hf|_{L34}", "api|_org_{L34}"],
    "cohere": ["CO_API_KEY={A40}", 'cohere_api_key: "{A40}"'],
    "mistral": ["MISTRAL_API_KEY={A32}"],
    "groq": ["gsk|_{A52}"],
    "replicate": ["r8|_{A37}"],
    "perplexity": ["pplx|-{A48}"],
    "xai": ["xai|-{A80}"],
    "openrouter": ["sk|-or-v1-{x64}"],
    "together": ["TOGETHER_API_KEY={x64}"],
    "fireworks": ["fw|_{A24}"],
    "cerebras": ["csk|-{l48}"],
    "nvidia": ["nvapi|-{w64}"],
    "langsmith": ["lsv2|_pt_{x32}_{x10}"],
    "langfuse": ["sk|-lf-" + UUID],
    "voyage": ["pa|-{w43}"],
    "jina": ["jina|_{x32}{A28}"],
    "elevenlabs": ["sk|_{x48}"],
    "tavily": ["tvly|-{A32}"],
    "pinecone": ["pcsk|_{A6}_{A63}"],
    "wandb": ["WANDB_API_KEY={x40}"],
    "aws_bedrock": ["AB|SK{b128}="],
    "aws_access_key_id": ["AK|IA{U16}", "AS|IA{U16}"],
    "aws_secret_access_key": ["aws_secret_access_key = {b40}", '"SecretAccessKey": "{b40}"', "AWS_SESSION_TOKEN={b300}=="],
    "azure_storage_key": ["DefaultEndpointsProtocol=https;AccountName=a;AccountKey={b86}==;EndpointSuffix=core.windows.net"],
    "azure_shared_access": ["SharedAccessKeyName=Root;SharedAccessKey={b43}=",
                            "https://a.blob.core.windows.net/c?sv=2022&sig={A43}%3D"],
    "azure_client_secret": ["{A3}8Q|~{A34}"],
    "azure_devops": ["AZURE_DEVOPS_EXT_PAT={752}"],
    "google_oauth": ["GOC|SPX-{w28}", "ya|29.{w160}", "1/|/0{w60}"],
    "gcp_service_account": ['"private_key_id": "{x40}"'],
    "ibm_cloud": ["IBM_CLOUD_API_KEY={w44}", "softlayer_api_key={x64}", "cloudant_password={x64}",
                  "cos_hmac_secret_access_key = {x48}"],
    "alibaba_cloud": ["LT|AI{A20}"],
    "tencent_cloud": ["AK|ID{A32}"],
    "yandex_cloud": ["AQ|VN{w35}", "t1|.{w60}.{w86}"],
    "digitalocean": ["dop|_v1_{x64}", "doo|_v1_{x64}", "dor|_v1_{x64}"],
    "heroku": ["HRKU|-{w60}", "HEROKU_API_KEY=" + UUID],
    "cloudflare": ["CLOUDFLARE_API_TOKEN={A40}", "cloudflare_api_key: {x37}", "v1|.0-{x24}-{x146}"],
    "fastly": ["FASTLY_API_TOKEN={A32}"],
    "scaleway": ["SC|W{U17}", "SCW_SECRET_KEY=" + UUID],
    "linode": ["LINODE_TOKEN={x64}", "VULTR_API_KEY={U36}"],
    "fly_io": ["fo1|_{w43}", "fm2|_{b200}"],
    "netlify": ["nfp|_{A36}", "NETLIFY_AUTH_TOKEN={A43}"],
    "vercel": ["VERCEL_TOKEN={A24}", "vcp|_{A48}"],
    "render": ["rnd|_{A32}"],
    "databricks": ["da|pi{x32}", "da|pi{x32}-2"],
    "snowflake": ["SNOWFLAKE_PASSWORD={A14}"],
    "planetscale": ["pscale|_pw_{w43}", "pscale|_tkn_{w43}"],
    "supabase": ["sb|_secret_{w31}", "sbp|_{x40}"],
    "neon": ["napi|_{l64}"],
    "doppler": ["dp|.pt.{A43}", "dp|.st.prd.{A43}"],
    "vault": ["hv|s.{w95}", "hv|b.{w140}", "VAULT_TOKEN=s.{A24}"],
    "terraform": ["{A14}.atlas|v1.{w67}"],
    "pulumi": ["pul|-{x40}"],
    "onepassword": ["A3|-{U6}-{U6}-{U5}-{U5}-{U5}-{U5}", "ops|_eyJ{b300}"],
    "github": ["gh|p_{A30}{C}", "gh|o_{A30}{C}", "gh|s_{A30}{C}", "github|_pat_{A22}_{A59}"],
    "gitlab": ["gl|pat-{w20}", "gl|dt-{w20}", "gl|rt-{w20}", "gl|ptt-{w40}", "GR|1348941{w20}",
               "gl|agent-{w50}", "gl|oas-{w64}"],
    "bitbucket": ["AT|BB{A32}", "BITBUCKET_CLIENT_SECRET={w64}"],
    "sourcegraph": ["sgp|_{x16}_{x40}"],
    "circleci": ["CCI|PAT_{A22}_{x40}", "CIRCLECI_TOKEN={x40}"],
    "buildkite": ["bk|ua_{x40}"],
    "sonar": ["sq|p_{x40}"],
    "snyk": ["SNYK_TOKEN=" + UUID],
    "artifactory": ["AK|Cp{A69}", "X-JFrog-Art-Api: AP|6{A30}"],
    "npm": ["np|m_{A30}{C}", "//npm.example/:_authToken=" + UUID],
    "pypi": ["pyp|i-AgEIcHlw|aS5vcmc{w150}"],
    "rubygems": ["ruby|gems_{x48}"],
    "docker": ["dckr|_pat_{w27}", '"auth": "{b40}="'],
    "crates_io": ["ci|o{A32}"],
    "nuget": ["oy|2{l43}"],
    "clojars": ["CLO|JARS_{l60}"],
    "slack": ["xo|xb-{d12}-{d12}-{A24}", "xo|xp-{d12}-{d12}-{d12}-{x32}", "xa|pp-1-{U11}-{d13}-{x64}",
              "xo|xc-{d12}-{d12}-{d12}-{x64}",
              "https://hooks.slack|.com/services/T{U8}/B{U8}/{A24}"],
    "discord": ["M{A23}.{w6}.{w27}", "N{A25}.{w6}.{w38}", "https://discord.com/api/web|hooks/{d18}/{w68}"],
    "telegram": ["{d10}:AA{w33}", "https://api.telegram.org/bot{d10}:{w35}/getMe"],
    "teams": ["https://a.webhook.office.com/webhookb2/" + UUID + "@" + UUID + "/IncomingWebhook/{x32}/" + UUID],
    "twilio": ["S|K{x32}", "A|C{x32}", "TWILIO_AUTH_TOKEN={x32}"],
    "sendgrid": ["S|G.{w22}.{w43}"],
    "mailgun": ["ke|y-{x32}", "{x32}-{x8}-{x8}"],
    "mailchimp": ["{x32}-u|s12", "md|-{w22}"],
    "brevo": ["xkey|sib-{x64}-{A16}"],
    "resend": ["re|_{A8}_{A24}"],
    "postmark": ["POSTMARK_SERVER_TOKEN=" + UUID],
    "vonage": ["VONAGE_API_SECRET={A16}", "PLIVO_AUTH_TOKEN={A40}"],
    "stripe": ["sk|_live_{A24}", "rk|_live_{A24}", "sk|_test_{A99}", "whs|ec_{A32}"],
    "square": ["sq0|csp-{w43}", "EA|AAE{w59}", "sq0|atp-{w22}"],
    "paypal": ["access|_token$production${l16}${x32}", "PAYPAL_CLIENT_SECRET={w80}"],
    "shopify": ["shp|at_{x32}", "shp|ss_{x32}"],
    "razorpay": ["rzp|_live_{A14}"],
    "adyen": ["AQ|Ezhmf{b120}"],
    "flutterwave": ["FLW|SECK-{l32}-X"],
    "plaid": ["PLAID_SECRET={x30}", "access|-sandbox-" + UUID],
    "shippo": ["shippo|_live_{x40}", "EZ|AK{A54}"],
    "datadog": ["DD_API_KEY={x32}", "datadog_app_key: '{x40}'"],
    "new_relic": ["NR|AK-{U27}", "NR|II-{w32}", "{x32}FFFF|NRAL"],
    "grafana": ["gl|c_{b100}=", "gl|sa_{A32}_{x8}", "ey|JrIjoi{A90}=="],
    "sentry": ["sntrys|_eyJ{b120}=_{b43}", "sntryu|_{x64}", "SENTRY_AUTH_TOKEN={x64}"],
    "honeycomb": ["hc|aik_{l58}"],
    "dynatrace": ["dt0|c01.{U24}.{U64}"],
    "posthog": ["ph|x_{A43}"],
    "splunk": ["SPLUNK_HEC_TOKEN=" + UUID],
    "launchdarkly": ["sdk|-" + UUID],
    "pagerduty": ["PAGERDUTY_API_KEY={A20}"],
    "atlassian": ["AT|ATT3{w180}={U8}".replace("{U8}", "{x8}"), "JIRA_API_TOKEN={A24}"],
    "linear": ["lin|_api_{A40}"],
    "notion": ["nt|n_{A46}", "sec|ret_{A43}"],
    "airtable": ["pa|t{A14}.{x64}", "AIRTABLE_API_KEY=key{A14}"],
    "figma": ["fig|d_{w40}"],
    "asana": ["1|/{d16}:{x32}", "ASANA_CLIENT_SECRET={x32}"],
    "okta": ["Authorization: SSWS 00{w40}", "OKTA_API_TOKEN=00{w40}"],
    "auth0": ["AUTH0_CLIENT_SECRET={w64}"],
    "postman": ["PM|AK-{x24}-{x34}"],
    "dropbox": ["sl|.u.{w160}", "DROPBOX_APP_SECRET={l15}"],
    "facebook": ["EA|AC{A160}", "{d15}|{w27}".replace("|", "{P}"), "FACEBOOK_APP_SECRET={x32}"],
    "twitter": ["A" * 22 + "{A80}", "TWITTER_API_SECRET={A50}"],
    "linkedin": ["WPL|_AP1.{A16}.{A8}==", "LINKEDIN_CLIENT_SECRET={A16}"],
    "hubspot": ["pat|-na1-" + UUID],
    "typeform": ["tf|p_{w59}"],
    "contentful": ["CF|PAT-{w43}"],
    "mapbox": ["sk|.eyJ{A80}.{w22}"],
    "readme": ["rd|me_{l70}"],
    "prefect": ["pn|u_{A36}"],
    "algolia": ["ALGOLIA_ADMIN_KEY={x32}"],
    "age_key": ["AGE-SECRET|-KEY-1{U58}"],
    "wireguard": ["Private|Key = {b43}="],
    "jwk": ['{{"kty":"OKP","d":"{w43}"}}'],
    "connection_string": ["postgres://app:{A12}@db:5432/x", "mongodb+srv://u:{A16}@c.example.net", "redis://:{A20}@r:6379/0",
                          "amqp://guest:{A9}@mq", "Server=s;Uid=u;Pwd={A12};", "jdbc:mysql://h/d?user=u&password={A11}"],
    "basic_auth_url": ["https://ann:{A8}@example.com/x", "git clone https://x-oauth:{A20}@git.example.com/a.git"],
    "authorization": ["Authorization: Basic {b32}==", "authorization: Bearer {w40}", "-H 'Authorization: Bearer {A32}'"],
    "password": ["password = '{A10}9'", '"db_password": "{A12}7"', "my password is {L5}{d4}",
                 "--password {A9}4", "Passwort: {A10}3",
                 "machine h login ann password {A10}5", "пароль: {A10}6", "PASSWORD1={A12}8"],
    "secret": ["api_key = '{A32}'", "X-Api-Key: {x32}", '"client_secret": "{w40}"', "ACME_TOKEN={A24}", "--token {A30}",
               "here is the api key for the test system: {A36}", "DEEPL_AUTH_KEY={x40}"],
}  # fmt: skip


def made(template, dice):
    """A secret from a template."""
    text = _PLACE.sub(
        lambda place: _random(place[1], int(place[2]), dice), template.replace("|", "").replace("{P}", "|")
    )
    return text.replace("{{", "{").replace("}}", "}").replace("{C}", _crc(text.partition("{C}")[0].rpartition("_")[2]))


def _random(alphabet, length, dice):
    while True:
        text = "".join(dice.choices(ALPHABETS[alphabet], k=length))
        kinds = [any(map(kind, text)) for kind in (str.isdigit, str.isalpha)]
        whole = alphabet in "dL" or all(kinds) or length < 6
        if whole and text[0].isalnum() and text[-1].isalnum():
            return text


def _crc(body):
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = (string.digits + string.ascii_uppercase + string.ascii_lowercase)[digit] + digits
    return digits


def jwt(dice, *, header=b'{"alg":"HS256","typ":"JWT"}', payload=None):
    """A signed token, of nobody's."""
    payload = payload or b'{"sub":"%d"}' % dice.randrange(10**9)
    parts = [header, payload, dice.randbytes(32)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def private_key(dice, size=1200, kind="RSA ", line="\n"):
    """A private key in PEM form whose body has ``size`` characters."""
    body = "MII" + "".join(dice.choices(ALPHABETS["b"], k=size - 3))
    lines = [f"-----BEGIN {kind}PRIVATE" + " KEY-----", *(body[at : at + 64] for at in range(0, size, 64))]
    return line.join([*lines, f"-----END {kind}PRIVATE" + " KEY-----"])


def every(seed=0):
    """(family, text with one secret) for every template, and the two families that have none."""
    dice = random.Random(seed)
    for family, templates in TEMPLATES.items():
        for template in templates:
            yield family, made(template, dice)
    yield "jwt", jwt(dice)
    for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "):
        yield "private_key", private_key(dice, kind=kind)
    yield "private_key", private_key(dice).replace("PRIVATE KEY", "PRIVATE KEY BLOCK").replace("RSA", "PGP")
    yield "private_key", private_key(dice, line="\\n")
