"""The number that a text gives as its answer, and when it is right."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textenv import score
from textenv.errors import RewardError
from textenv.rewards.verifiable.numeric import equal_numbers, final_number

HALF = Fraction(1, 2)

# A number, and texts that give it, two spaces apart.
READ = {
    18: r"""
    18  18.  18.0  18?  (18)  "18"  `18`  **18**  _18_  *18*  $18$  $$18$$  \(18\)  [18]
    #### 18  #### 9 * 2 = 18  #### 9 x 2 = 18  #### ~18  #### $18.00  She sells 9 * 2 = 18
    It was 20 at first. The answer is 18 dollars. Check: 9 * 2.  **Answer:** 18
    Answer: 18 years old  Answer: \[ 18 \]  The answer is $18$.  The answer is **18**.
    The answer is 18, since 4 + 14 = 18.  So 2x = 36, x = 18  \boxed{18}  $\boxed 18$  \fbox{18}
    \boxed{18\text{ cm}^2}  \boxed{18 \mbox{ inches}^2}  \boxed{18}\%  \boxed{18}\text{ cm}
    $17^{-1} \equiv \boxed{18} \pmod{83}$  \boxed{\mathbf{18}}  \boxed{18^\circ}
    \boxed{18}^{\circ}  \boxed{x = 18}  \boxed{\angle A = 18^{\circ}}  \boxed{x \approx 18}  18%
    18\%  $18  US$18  USD 18  18 USD  18€  Rs. 18  $18!  18°C  18cm  18 cm^2  18 cm²  18 m
    18 km/h  18/day  18-year-old  18-inch  18 (apples)  18 red apples  18 a day  18 percent
    On the 2nd day: 18 m2  H2O: 18  1) 18  Step 3: 18  | Total | 18 |  * 18  <answer>18</answer>
    18</s>  18<|im_end|>  {"answer": 18}  18 ✅  ≈ 18  → 18  １８  १८  १८।  ١٨  ١٨؟  ۱۸  𝟏𝟖  18。
    答案是18。  共18个  18元  18歳  は18です。  정답은 18입니다  18 บาท  18 штук  उत्तर १८ है
    34 - 16 = 18  The answer is eighteen (18).  eighteen (18)  18 = x  #### 18 = x  \sim 18
    18m²  18 m²  18 (18 = 9 + 9)  #### 18 apples (9 x 2 = 18).  18 (not 20)  18; not 20.
    18 one-dollar bills
    #### 18 = \theta  It was 18 rather than 20.  18 apples instead of 20
    The answer is 18, not 20  She has 18 dollars, not 20 dollars.  The answer is **18**!
    The answer is 18! I am sure.  #### She sells 18!  答案是18！  The total is 18!</s>
    6 + 12 is $18!  18 o’clock  18 рублей  18кг  18 हैं  18時間  18千米  18个苹果  18ชั่วโมง
    18 zł  ✅️18
    """,
    -18: r"""
    -18  −18  –18  －18  - $18 = -18  (-18)  -(18)  -$18  $-18  -18.0  negative 18  minus 18
    The answer is −18  #### - 18  x = - 18  20 - 38 = -18
    """,
    1000: r"""
    1,000  1e3  1E+3  1.0e3  1×10^3  1 \times 10^{3}  1x10³  1 · 10^3  \boxed{1{,}000}
    \boxed{1\,000}  \boxed{1,\!000}  \boxed{1,\! 000}  \boxed{\$1{,}000}  ١٬٠٠٠
    """,
    HALF: r"""
    1/2  .5  ½  1⁄2  (1/2)  1/2 cup  5e-1  ٠٫٥  $\frac 12$  \boxed{\frac12}  \boxed{\frac1{2}}
    \boxed{\frac{1}2}  \boxed{\tfrac{1}{2}}  \boxed{\dfrac{1}{2}}
    \boxed{\left(\frac{1}{2}\right)}  \boxed{P(A) = \frac{1}{2}}
    $\boxed{\frac{1}{2}}$ or $\boxed{0.5}$
    """,
    -HALF: r"""
    \frac{1}{-2}  \frac{-1}{2}  -1/2  -(1/2)  -½  \boxed{-\frac{1}{2}}  \boxed{\frac{-1}{2}}
    \boxed{-\left(\frac{1}{2}\right)}
    """,
    Fraction(7, 2): r"""
    3½  3 ½  3 1/2  3 1/2%  3.5  \boxed{3\frac{1}{2}}  \boxed{3 \frac12}  \boxed{3\ \frac{1}{2}}
    \boxed{7/2}  \frac{7.0}{2}  \boxed{\frac{-7}{-2}}  \frac{3,500}{1,000}
    """,
}

# Texts whose digits are a part of something else, or several answers.
NOTHING = r"""
    eighteen  half  nan  inf  1/0  the 22nd  18 or 20  18 apples or maybe 20 apples  17, 18
    17; 18  12 - 4  17 and 18  between 17 and 18  3 out of 5  25% of 80  #### 18 or 20
    #### 18 20  The answer is 17, 18 or 19.  The answer is not 18  The answer isn't 18.
    She had 18. The answer is not known.  \boxed{17} or \boxed{18, 19}
    $\boxed{3}$ and $\boxed{5}$  5 hours 30 minutes  5 hours and 30 minutes
    18 dollars and fifty cents  5 and a half  x = 5, y = 6  \boxed{x=5, y=6}
    #### \cos (\pi)=-1, \sin (\pi)=0  #### 0 = 1  2k  5x  5 x  2 xy  $2 a x+b$  3i  5m
    \boxed{5am}  12pi  5 π  0x1F  12\pi  \boxed{12}\pi  $-\boxed{5}$  \boxed{2}^{10}
    \sqrt{\boxed{5}}  $\boxed{41585} \pm 5730$  \sqrt{53}  sqrt(53)  sqrt53  √53
    the square root of 53  2\sqrt{3}  3+4i  x^2  2^10  10^{10}  10³  5²  3!  18!
    Answer: 3!  x = 3!  $3!$  Then it is \(3!\)
    The number of arrangements is 5!  3！  The expression is 3!  #### 3 = \pi
    \binom{5}{2}  52_8  \boxed{100_{\text{two}}}  0.\overline{3}
    0.333...  0.(3)  12:00  3:2  3 : 2  3-5  3–5  5 ～ 6  555-1234  2024-03-15  3/15/2024
    1.2.3.4  24/7/365  2*3  2**3  3×4  3·4  2(3)  (2)(3)  f(5)  1.000,50  3,5  1 000  1 000 000
    \cos (\pi)=-1, \sin (\pi)=0  f(1) = 5 and f(2) = 6
    1 111 111  1_000  1'000  1,00  1,0000  12,34  (1,2)  (1,200)  \{1,2\}  \boxed{\{5\}}
    [2,\infty)  [2, \infty)  (x, 5)  5 > x  x < 5  #### x >= 5  \boxed{x \ge 5}
    \boxed{x \in [2,5]}  \boxed{x \ne 5}  \boxed{x+y=5}  \boxed{2x = 18}  \boxed{x^2 = 5}
    \boxed{|x| = 5}  \boxed{y=2x+3}  ±5  \pm 5  |5|  ⌊5⌋  \lfloor 5 \rfloor  at least 5
    less than 5  twice 9  half of 36  log 5  sin 30°  2 million  $5 million  3 dozen  2 thirds
    3 quarters  2-thirds  5 squared  5 to the power of 2  18 base 5  7 mod 3  \boxed{5 \pmod{7}}
    5 remainder 2  3 times x  Total - 18  - 18  --5  x - 18  18 - x  18+  #18  @18  №18  v1.8
    GPT-4  COVID-19  Room 101B  3rd  1/3rd  18-th  1.2 E5  £18 m  three and 1/2
    a hundred and 18  half past 6  18 or more  ~~18~~  May 5  March 5, 2024  5 May 2024  5‰  5′
    ①  ½2  \boxed{\frac 345}  \boxed{3\frac{5}{4}}  \boxed{\frac{1}{2}x}  \boxed{\frac{\pi}{2}}
    \boxed{\frac{3}{x}}  \boxed{\text{(C)}}  \boxed{2\text{k}}  3万  3個半  百分之18
    第3天  负5  不是18  大于18  18多  18ではない  ー18  3만 원  3 ล้าน  2 लाख  5 тысяч
    5 Millionen  3 zillion  3 nghìn  3 triệu  3 ribu  3 juta  3 bin  3 milyon  3 tysiące
    3 tusen  3 هزار  3 mil  2 mille  3 Tausend  3 Mio. Euro  5 doz  5 dz.  5 Dutzend  5 douzaines
    5 docenas  3 grand  3 tens  3 ten-thousandths  3 ten-fifths
    3 hundred-dollar bills  3 ppm  3 bp  3%%
    1米8  3块5  3 ✖ 5  3 • 5  3㋀  3🔟
    3 et demi  3 und ein halb  3 kilos et demi  3時間半  18 บาทครึ่ง  3 below zero
    3 degrees below zero  3 Grad unter Null  3 degrees under zero  3.30 pm  3.30pm  3.30 o'clock
    3 out of ten  3 per mille  3 couple dozen  3 in thousands  18 in binary  $3 MM
    3月  3日  3時  5月3日  3 mai  3. Mai  The answer is 3. Mai  Answer: 25. Dezember  3 Uhr
    3 heures  18 Äpfel  18 яблок  18 𝑥  18ª  18m²x  18 =/= 20  #### 18 =/= 20  18 =\= 20
    #### 20 (9 x 2 = 18)  17 or 18, not 20  18 is not 20  \frac{3.5}{0}  2\frac{3.5}{2}
    nicht 18  Не 18  más de 18  1e999  <think>18</think>  <think>maybe 18  maybe 18</think>
"""


def texts(block):
    return re.split(r"\s{2,}", block.strip())


@pytest.mark.parametrize(
    ("number", "text"), [(number, text) for number, block in READ.items() for text in texts(block)]
)
def test_a_number_is_read_as_it_is_usually_written(number, text):
    assert final_number(text) == number


INVISIBLE = ["1\u200b8", "1\u00ad8", "1\u034f8", "1.\u20605", "1/\ufeff8", "0.3\u0305", "3\u2062x"]


@pytest.mark.parametrize("text", ["", "9" * 5000, "17\n18\n19\n20", *INVISIBLE, *texts(NOTHING)])
def test_digits_that_say_something_else_are_no_answer(text):
    assert final_number(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 18\n#### 20", 20),
        (r"\boxed{18}, so the answer is 20.", 20),
        (r"\boxed{18}. We check our answer: 2 * 18 = 36, so our answer is correct.", 18),
        ("#### 18\nThat took 20 minutes.", 18),
        ("9 + 9 = 18\n#### 18", 18),
        ("\u200b18\u200b", 18),
        ("\u200f18\u200f.", 18),
        ("The answer is 5! = 120.", 120),
        ("Answer:\n$$\n18\n$$", 18),
        ("34 - 16 = 18\n18", 18),
        ("<think>20</think>\n18", 18),
        ("#### 18 <think>#### 20</think>", 18),
        ("She has 12 apples.\nIn the end: " + "x" * 5000, 12),
        (r"\boxed{11,\! 111,\! 111,\! 100}", 11111111100),
    ],
)
def test_the_last_answer_of_several_lines_counts(text, number):
    assert final_number(text) == number


NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9).map(Fraction),
    st.decimals(-9999, 9999, places=2).map(Fraction),
)
HARMLESS = ["{}", "({})", "**{}**", "#### {}", "${}$", r"\({}\)", r"\boxed{{{}}}", "x = {}"]
HARMLESS += [
    "It is {}.",
    "{} apples",
    r"\boxed{{{}\text{{ cm}}^2}}",
    "{}%",
    "{} €",
    "{}, then",
    "{}?",
]
HARMFUL = ["{}x", "{}k", r"{}\pi", "{}:30", "{}^2", "{}_8", "{}!", "{}i", "{}-7", "{}/x", "{}…"]
HARMFUL += [
    "{} million",
    "{} - x",
    "{} + 1",
    r"\sqrt{{{}}}",
    "x^{}",
    "f({})",
    "({}, x)",
    "±{}",
    "√{}",
]
HARMFUL += [
    r"\boxed{{{}}}\pi",
    r"\boxed{{{}, x}}",
    "#### {} or x = 5",
    "twice {}",
    "{}x10",
    "{}(2)",
]


def written(number):
    return [str(number.numerator) if number.denominator == 1 else f"{float(number):.2f}"]


@given(NUMBERS, st.sampled_from(HARMLESS), st.booleans())
def test_every_number_is_exact_in_every_way_to_write_it(number, frame, grouped):
    text = f"{number.numerator:,}" if number.denominator == 1 else f"{float(number):,.2f}"
    # In brackets, groups of three may be several numbers.
    text = text if grouped and not frame.startswith("(") else text.replace(",", "")
    assert final_number(frame.format(text)) == number


@given(NUMBERS.filter(lambda number: number.denominator == 1), st.sampled_from(HARMFUL))
def test_a_number_that_something_unknown_touches_is_none(number, frame):
    found = final_number(frame.format(number.numerator))
    assert found is None


@given(st.text(st.sampled_from("0123456789 .,/-+=x*^_{}()[]\\$%frac#boxed½٣。\n"), max_size=40))
def test_any_text_has_a_finite_number_or_none(text):
    found = final_number(text)
    assert found is None or isinstance(found, Fraction)


def test_whole_numbers_must_be_equal_and_others_nearly_so():
    assert equal_numbers(Fraction(10**9), Fraction(10**9))
    assert not equal_numbers(Fraction(10**9 + 1), Fraction(10**9))
    assert equal_numbers(Fraction("0.333333"), Fraction(1, 3))
    assert not equal_numbers(Fraction("0.3333"), Fraction(1, 3))


def test_a_right_number_scores_1_and_any_other_text_0():
    result = score("numeric", ["x = 18", "18.0", "19", "", "18 or 19"], ["9 * 2 = 18\n#### 18"] * 5)
    assert result.total.tolist() == [1, 1, 0, 0, 0]
    assert result.components["answered"].tolist() == [1, 1, 1, 0, 0]
    assert score("numeric", ["18"], [["17", "18"]]).total.tolist() == [1]


@pytest.mark.parametrize("reference", ["eighteen", r"\boxed{2\sqrt{3}}", "12:00"])
def test_a_reference_without_one_number_is_an_error_not_a_0(reference):
    with pytest.raises(RewardError, match=r"does not give one.*or choose the reward 'math'"):
        score("numeric", ["18"], [reference])
