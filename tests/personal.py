"""Personal data to plant in texts: for each type true values, each with the words that may have to stand before it."""

import hashlib

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(raw):
    """Base58 of bytes; zero bytes at the beginning are ones."""
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def wallet(version, seed="a"):
    """An address of base58check with this version byte."""
    payload = bytes([version]) + hashlib.sha256(seed.encode()).digest()[:20]
    return base58(payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4])


SAMPLES = {
    "email": ["a@b.com", "john.doe+tag@mail.example.co.uk", "x_y%z'w-v@sub-domain.example.org", "jürgen@müller.de",
              "иван@почта.рф", "1@2.io", "a@xn--mller-kva.de", "UPPER@CASE.ORG"],
    "ip": ["192.168.0.1", "8.8.8.8", "255.255.255.255", "2001:db8::1", "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
           "fe80::1ff:fe23:4567:890a", "::ffff:192.168.0.1"],
    "mac": ["00:1A:2B:3C:4D:5E", "00-1a-2b-3c-4d-5e", "001a.2b3c.4d5e", "00:1A:2B:FF:FE:3C:4D:5E"],
    "phone": ["+1 415 555 0132", "+14155550132", "+49 (0) 30 901820", "+44 20 7946 0958", "(415) 555-0132", "415-555-0132",
              "415.555.0132", "1-800-555-0199", "030 901820 12", "020 7946 0958", "+33 1 23 45 67 89", "+91 98765 43210",
              "+81-3-1234-5678", "(96) 627-277", "(07) 5331 0577", "027 896 92 86", "041-412-293", "69 987 88 37",
              "001-420-335-7509x38548", "986.291.2294x751", "+1-944-435-4352x04732", "(415) 555-0132 ext. 77",
              "0170/1234567", "06-12345678", "412 34 567",
              "07700900123", "0049 30 901820", "call me on |21 212 133 2727", "Tel. |4258829090", "mobile: |98765 43210"],
    "card": ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "5555555555554444", "2221000000000009",
             "378282246310005", "3782 822463 10005", "6011111111111117", "30569309025904", "3530111333300000",
             "4222222222222", "6200000000000005", "4111\u00a01111\u00a01111\u00a01111", "3056 930902 5904",
             "180000000000002", "060400000000"],
    "iban": ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819",
             "FR1420041010050500013M02606", "NO9386011117947", "CH9300762011623852957", "NL91ABNA0417164300",
             "de89370400440532013000", "MT84MALT011000012345MTLCAST001S", "ES91 2100 0418 4502 0005 1332",
             "IT60X0542811101000000123456", "PL61109010140000071219812874", "SA0380000000608010167519",
             "AT61-1904-3002-3457-3201"],
    "bic": ["SWIFT: |DEUTDEFF", "BIC |NWBKGB2LXXX"],
    "us_ssn": ["536-90-4399", "SSN: |536904399", "social security number is |536 90 4399"],
    "us_itin": ["911-70-1234", "itin: |911701234", "my taxpayer id is |911-701234"],
    "us_ein": ["EIN |91-1144442"],
    "us_passport": ["my passport number is |912803456", "passport no. |A12803456"],
    "us_driver": ["my driver license is |H12234567", "driver's license: |AA1B2**9ABA7", "Driving licence no |7774567901234"],
    "us_routing": ["routing number is: |111000025", "ABA |0210-0002-1"],
    "us_account": ["my bank account number is |912803456"],
    "us_mbi": ["1EG4-TE5-MK73", "1EG4TE5MK73"],
    "ca_sin": ["130-692-544", "SIN |130692544"],
    "br_cpf": ["390.533.447-05", "CPF |39053344705"],
    "br_cnpj": ["16.727.230/0001-97", "CNPJ: |16727230000197"],
    "mx_curp": ["BOXW310820HNERXN09"],
    "mx_rfc": ["RFC: |GODE561231GR8"],
    "uk_nhs": ["943 476 5870", "943-476-5870", "NHS number |9434765870"],
    "uk_nino": ["AB123456C", "AB 12 34 56 C", "jg103759a"],
    "uk_utr": ["UTR |1955839661"],
    "uk_sort_code": ["sort code |20-00-00", "Sort code: |200000"],
    "uk_account": ["account number |55779911", "sort code 20-00-00 account |55779911"],
    "uk_passport": ["passport number |925665416"],
    "uk_driver": ["MORGA657054SM9IJ", "HILL9812310AB9XY"],
    "uk_postcode": ["postcode |SW1A 1AA", "my address is |EC1A1BB"],
    "eu_vat": ["ATU13585627", "BE0428759497", "DE 136695976", "FR 40 303 265 045", "IT 00743110157",
               "PL 8567346215", "ES B58378431", "GB 980 7806 84"],
    "de_tax_id": ["Steuer-ID |36 574 261 809", "IdNr. |36574261809"],
    "fr_nir": ["2 95 10 99 126 111 93", "295109912611193"],
    "es_dni": ["54362315K", "54362315-K", "X2482300W", "x-2482300w"],
    "it_codice_fiscale": ["RCCMNL83S18D969H", "rccmnl83s18d969h"],
    "nl_bsn": ["BSN |1112.22.333", "burgerservicenummer |111222333"],
    "be_national": ["85.07.30-033.28", "85073003328"],
    "pl_pesel": ["44051401359"],
    "se_personnummer": ["880320-0016", "19880320-0016", "8803200016"],
    "dk_cpr": ["211062-5629", "CPR-nr. |2110625629"],
    "fi_hetu": ["131052-308T"],
    "no_fodselsnummer": ["15108695088", "151086 95088"],
    "pt_nif": ["NIF |501964843", "contribuinte |501 964 843"],
    "at_svnr": ["SVNR |1237 010180", "Sozialversicherungsnummer: |1237010180"],
    "ch_ahv": ["756.9217.0769.85", "7569217076985"],
    "ie_pps": ["6433435F", "6433435OA"],
    "ro_cnp": ["1630615123457"],
    "cz_rc": ["710319/2745", "991231/123", "rodné číslo |7103192745"],
    "gr_afm": ["ΑΦΜ |094259216", "AFM: |094259216"],
    "bg_egn": ["7523169263"],
    "hr_oib": ["OIB |33392005961"],
    "in_aadhaar": ["2341 2341 2346", "2341-2341-2346", "Aadhaar no |234123412346"],
    "in_pan": ["ACUPA7085R", "acupa7085r", "my pan is |DJPMS1234Z"],
    "in_gstin": ["27AAPFU0939F1ZV"],
    "in_vid": ["VID |2341234123412341"],
    "in_voter": ["voter id |WKH1186253"],
    "in_passport": ["passport no |T1234567"],
    "in_ifsc": ["IFSC |SBIN0001234"],
    "sg_nric": ["S1234567D", "F1234567N", "G1234567X", "S0000001I", "my FIN is |g3300299L"],
    "kr_rrn": ["971013-9019902"],
    "jp_my_number": ["マイナンバー|6214 9832 0257", "My Number: |621498320257"],
    "cn_id": ["360426199101010071"],
    "au_tfn": ["TFN |123 456 782", "tax file number |123456782"],
    "au_medicare": ["Medicare |2123 45670 1", "Medicare card number |2123456701"],
    "au_abn": ["ABN |83 914 571 673", "ABN |83914571673"],
    "za_id": ["7503305044089", "750330 5044 089"],
    "bitcoin": ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", wallet(5), "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
                "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
                "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"],
    "ethereum": ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
                 "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"],
    "litecoin": [wallet(0x30), wallet(0x32)],
    "dogecoin": [wallet(0x1E)],
    "tron": [wallet(0x41)],
    "monero": ["4" + "A" + "1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa" * 2 + "1zP1eP5QGefi2DMPTfTL5SLmv7Div"],
    "solana": ["Solana: |" + base58(hashlib.sha256(b"s").digest())],
    "birth_date": ["date of birth: |12/27/1986", "born on |12 May 1980", "DOB |1980-05-12", "geboren am |12.05.1980",
                   "née le |12 mai 1980", "Born |May 12th, 1980", "生年月日:|1980年5月12日"],
    "coordinates": ["52.52000, 13.40500", "-33.8688,151.2093"],
    "us_zip": ["ZIP: |11164", "Springfield, IL |62704-1234"],
    "url_login": ["https://|bob:s3cret|@example.com/x", "ftp://|anonymous|@10.0.0.1"],
}  # fmt: skip
"""By type: the value, or the words before it and the value, divided by ``|`` (and what follows it, after another)."""


def parts(sample):
    """(before, value, after) of a sample."""
    before, bar, rest = sample.partition("|")
    if not bar:
        return "", sample, ""
    value, _, after = rest.partition("|")
    return before, value, after


def planted():
    """(type, before, value, after) of all samples."""
    return [(type_, *parts(sample)) for type_, samples in SAMPLES.items() for sample in samples]
