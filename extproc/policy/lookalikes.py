"""Characters that look like Latin ones, as data.

Source: the visual classes of Unicode Technical Standard 39 and the code charts, chosen and written down for this table.
What the compatibility forms of Unicode (NFKC) already turn into Latin letters is not listed: fullwidth, mathematical,
circled and squared letters, superscripts and subscripts.
"""

from __future__ import annotations

from typing import Final

_ROWS: Final = """
A АΑᎪᗅꓮ𐊠Ꭺ∀
a аαɑ⍺ᴀⱯɐ
B ВΒᏴᗷꓐ𐊂ℬᛒ
b ЬьƄʙвβᏏƀɓ
C СϹᏟꓚⅭↃ𐊢
c сϲᴄⅽƈ¢ϛ
D ᎠᗞꓓÐĐƉ
d ԁᏧɖɗđðᴅժ
E ЕΕᎬꓰⴹ∃Ə
e еєҽεɛəᴇɇℯ℮ёǝ
F ϜꓝᖴҒ
f ƒꞙẝϝֆꜰ
G ԌᏀꓖƓ
g ɡցɢǥɠġ
H НΗᎻꓧᕼⲎҢ
h һհɦʜнћђħԦ
I ІΙӀ𐊊ꓲⵏƖⅠ
i іιɩɪıӏǀị
J ЈͿᎫꓙᒍ
j јϳʝյɉᴊ
K КΚᏦꓗⲔҚ
k кκᴋƙқĸ
L ᏞꓡⳐᒪլŁ
l ⅼʟłɭɫƚ
M МΜᎷꓟᗰⲘϺ
m мᴍɱʍ
N ΝꓠⲚƝ
n ոпηɴռɲƞŋ
O ОΟՕꓳⲞ𐊒⵰Ø
o оοօσᴏσοⲟøɵөӧ०੦૦௦๐໐០𐐬
P РΡᏢꓑⲢᑭ
p рρᴘϱƥⲣþ
Q ԚⵕɊ
q ԛգզʠɋǫꞯ
R ᎡᏒꓣᖇƦЯ
r гᴦʀɾɼɽꭇя
S ЅՏᏚꓢ𐊖
s ѕʂꜱᏕƽֆ
T ТΤᎢꓔⲦ𐊗Ŧ
t тτᴛŧƭț
U ՍꓴሀԱ∪
u υսʋᴜμцսʉ
V ѴᏙꓦⴸ∨
v νѵᴠטʋⅴ
W ԜᎳꓪ
w ԝաѡɯᴡωшɰ
X ХΧꓫⲬⅩ╳
x хχⅹ×ҳ
Y ҮΥᎩꓬⲨ𐊲Ұ
y уүγʏყɣÿў
Z ΖᏃꓜ
z ᴢʐƶᏃȥ
- ‐‑‒–—―−﹘⁃➖ー─‧·•∙⋅・･˗
. ․。｡۔܂
' ‘’‚‛′´ʹʼˈ`＇
" “”„‟″
/ ⁄∕╱⧸／
, ‚،、，
: ։׃：ː∶꞉
* ⁎∗٭✱
! ǃⵑ
$ ＄﹩
@ ＠﹫
"""
"""A Latin character, then those that look like it."""


def _read() -> dict[str, str]:
    found: dict[str, str] = {}
    for row in _ROWS.strip().splitlines():
        latin, others = row[0], row[2:]
        for char in others:
            if not char.isascii():
                found.setdefault(char, latin)
    return found


LOOKALIKES: Final = {
    **_read(),
    "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ꜳ": "aa", "ꜵ": "ao", "ᴁ": "AE", "ᴔ": "oe",
    # Cherokee's small letters are those of its large ones that look like Latin ones
    "ꭰ": "d", "ꭱ": "r", "ꭲ": "t", "ꭺ": "a", "ꭻ": "j", "ꭼ": "e", "ꮃ": "w", "ꮇ": "m", "ꮋ": "h", "ꮐ": "g", "ꮓ": "z",
    "ꮞ": "4", "ꮟ": "b", "ꮢ": "r", "ꮤ": "w", "ꮥ": "s", "ꮩ": "v", "ꮪ": "s", "ꮮ": "l", "ꮯ": "c", "ꮲ": "p", "ꮶ": "k",
    "ꮷ": "d", "ᏻ": "g", "ᏼ": "b",
    **{chr(0x1F1E6 + number): chr(ord("A") + number) for number in range(26)},  # regional indicators
    **{chr(base + number): chr(ord("A") + number)  # squared and circled capitals that have no compatibility form
       for base in (0x1F150, 0x1F170) for number in range(26)},
}  # fmt: skip
"""What a character is read as. The Latin text may have more than one character."""
