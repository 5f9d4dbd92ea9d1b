"""Words beside a number: which leave it as it is, and which make another value of it."""

from __future__ import annotations

import re


def _words(*texts: str) -> frozenset[str]:
    return frozenset(" ".join(texts).split())


CURRENCY = frozenset("$€£¥₹₩₽₺₴₫฿₦₱¢৳₪₡₲₵₭₮₸₼₾₿﷼")
CURRENCY_CODES = _words(
    "USD EUR GBP INR CNY RMB JPY AUD CAD CHF HKD SGD Rs RM US A AU C CA HK NT R S Rp kr zł"
)

GLUED_UNITS = _words(
    "mm cm dm km in ft yd yds mi mg kg lb lbs oz ml mL cl gal hr hrs min mins sec secs ms mph kph",
    "kmh sq cent cents am pm AM PM day days hour hours minute minutes second seconds week weeks",
    "month months year years kW kWh MB GB TB dollar dollars euro euros pound pounds bucks meter",
    "meters metre metres mile miles feet foot inch inches gram grams unit units times percent pcs",
    "degrees USD EUR GBP INR",
)
"""Units that may stand right behind the digits, as in "18cm"."""

LETTER_UNITS = _words("m g h s l L")
"""Units of one letter, which need a space before them: "5m" may be five millions, or 5 times m."""

COMPOUND = re.compile(
    r"\s*(?:feet|foot|ft|yards?|miles?|hours?|hrs?|h|minutes?|mins?|days?|weeks?|months?|years?|"
    r"pounds?|lbs?|kg|kilograms?|km|kilometers?|m|meters?|metres?|dollars?|euros?|gallons?|"
    r"quarts?|cups?|dozens?)\.?,?\s*(?:and\s*)?",
    re.IGNORECASE,
)
"""What joins two numbers into one quantity: "5 hours and 30 minutes"."""

_COUNTS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)
_PARTS = (
    "half halves third thirds fourth fourths quarter quarters fifth fifths sixth sixths seventh "
    "sevenths eighth eighths ninth ninths tenth tenths twelfth twelfths hundredth hundredths "
    "thousandth thousandths"
)
_MULTIPLES = (
    "hundred hundreds thousand thousands million billion trillion "
    "dozen dozens doz dz dutzend dutzende douzaine douzaines docena docenas dozzina dozzine duzia "
    "duzias dozijn dussin dusin tucet tuzin lusin score gross grand lakh lakhs lac crore crores mn "
    "bn bil mio mrd mld mln tn tr tsd tys thou mil mila mille mii mie ezer elfu ribu juta triliun "
    "miliar ratus puluh belas bin nghin ngan trieu tram tysiace tysiecy tysiac cien cientos "
    "centenas decenas centinaia tuhat tuhatta ppm ppb ppt bp bps basis permille promille"
)
_FUNCTIONS = "sqrt root log ln lg sin cos tan cot sec csc exp mod modulo factorial"
_OPERATIONS = "plus minus over divided multiplied point base"

SMALL_COUNTS = _words(_COUNTS)
PARTS = _words(
    _PARTS,
    "sum product difference root square cube power logarithm percent",
    "moins plus más menos mas meno moitié mitad metà metade",
)
"""Words of which "X of 36" is not 36."""

NUMBER_WORDS = _words(
    _COUNTS, _PARTS, "demi demie halb halbe media medio mezzo mezza meia meio halv"
)
MONTHS = _words(
    "January February March April May June July August September October November December",
    "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec",
)
FOREIGN_MONTHS = _words(
    "januar februar juni juli oktober dezember janvier avril mai juin juillet aout septembre",
    "octobre novembre decembre enero febrero marzo abril mayo junio julio agosto septiembre",
    "setiembre octubre noviembre diciembre gennaio febbraio aprile maggio giugno luglio",
    "settembre ottobre dicembre janeiro fevereiro maio junho julho setembro outubro novembro",
    "dezembro januari februari maart mei augustus maret agustus desember ocak mart nisan",
    "haziran temmuz ekim aralik stycznia lutego marca kwietnia maja czerwca lipca sierpnia",
    "pazdziernika listopada grudnia maj marts",
)
CHANGES_BEHIND = (
    _words(
        *(_PARTS, _MULTIPLES, _FUNCTIONS, _OPERATIONS),
        "pi squared cubed choose remainder infinity never not tens",
        "st nd rd th et und og och ve oder ou uhr heure heures hodin horas noon midnight",
    )
    | FOREIGN_MONTHS
)
"""Words that change the number before them: "2 million", "5 squared"."""

MULTIPLE = re.compile(
    r".*(?:ill?i(?:on|ard)|il[jy](?:o|ard?)|thousand|hundre[dt]|tausend|hundert|duizend|honderd|tusen"
    r"|tusind|hundra|dozen|binary|octal|hexadec).*"
)
"""Words, of more than one language, that multiply or name a base: "Milliarden", "thousandths"."""

BELOW = re.compile(
    r"\b(?:below|unter|sous|bajo|sotto|onder|bawah|abaixo)\b|\bunder (?:zero|nul|noll|freezing)\b"
)
"""Words before which a number is below 0, as in "3 degrees below zero"."""

CHANGES_BEFORE = _words(
    *(_COUNTS, _MULTIPLES, _FUNCTIONS, _OPERATIONS),
    "twice thrice double triple half times by squared remainder choose",
    "not n't cannot never neither nor except nicht kein keine pas nie niet inte ikke tidak bukan",
    "negativ negativo negatif que als weniger mehr moins menos meno minder",
    "than least most under above below between exceed exceeds past",
)
"""Words that change the number behind them: "twice 9", "not 18"."""

COUNTS = _words(_COUNTS, _MULTIPLES)
"""Words that a number adds to: "three and 1/2"."""

VARIABLES = re.compile(
    r"MM|[abcd]{2,}|[uvwxyz]{2,}|[pqrst]{2,}|[ijkmn]{2,}|[A-Za-z]|[α-ωΑ-Ω]", re.ASCII
)
"""Letters that stand for quantities: "xy", "n", "π"."""

PLAIN_SHORT = _words("nm ink kin a A I add dad bad cab") | LETTER_UNITS
"""What looks like variables, and is a word."""

UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
)
"""Letters of scripts that put no space between a number and a word."""

KNOWN_BEHIND = re.compile(
    # Counters and copulas of scripts without spaces, which other words may follow.
    "[个個元円圆圓块塊角人名位本册冊張张枚只隻匹頭头条條支枝次回页頁颗顆棵朵粒盆盒筐辆輛台箱瓶包袋种種件斤克吨米升度岁歲歳才天"
    "年周週双雙倍下层層组組间間排行]|[ヶか]月|小[时時]|時間|分[钟鐘間米]|秒|厘米|公[分里斤]|千[米克]|毫[米升]|平方|立方|です|だ|になり|となり"
    "|[개명원권살세년초번병]|마리|시간|입니다|이[다에]|예요|미터|킬로|센티|บาท|คน|ชิ้น|อัน|ลูก|ตัว|เล่ม|ผล|วัน|ปี|ชั่วโมง|นาที|เมตร|กิโล"
    # Whole words.
    "|(?:шт|штук[аи]?|руб|рубл(?:ь|я|ей)|лет|год|года|час|часа|часов|минут[аы]?|дней|дня|день|км|см|мм?|кг|г"
    "|है|हैं|रुपये|रुपए|घंटे|दिन|साल|मीटर|किमी|ريال|درهم|جنيه|دينار|دولار|تومان|ریال|شيكل|€|zł|Kč|грн)(?!\\w)"
)
"""The words of other letters than ASCII's that leave the number before them as it is."""

UNSPACED_BEHIND = re.compile(
    "[万萬亿億兆千仟百佰十拾割点點만억조천백半반又多余餘几幾]|[个個개]半|ครึ่ง|กว่า"
)
"""What changes it behind such a word: "3個半"."""

UNSPACED_BEFORE = re.compile(
    "(?:[第負负ー一二三四五六七八九十百千万萬亿億点點月時时非]|零下|マイナス|分之|不是|不足|至少|至多|超过"
    "|[大小多少]于|ลบ|^(?:не|ни|меньше|больше|более|менее|минус|नहीं|ऋण|ليس|سالب|não|més|más|μείον|über|unter))$"
)
