"""Draws the demo's picture: Chinese and English lines, one of them upside down. Needs Pillow and Noto Sans CJK.

Usage: make_picture.py [picture.png]
"""
import sys

from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
LINES = [
    ("把每台机器装满", 44, (40, 30)),
    ("Fill every machine to the brim", 34, (40, 110)),
    ("深度学习推理平台", 40, (40, 180)),
    ("Hello, 你好 2026", 40, (40, 260)),
]
UPSIDE_DOWN = ("upside down is fine", 34, (40, 335))


def main():
    picture = Image.new("RGB", (640, 420), (250, 248, 240))
    draw = ImageDraw.Draw(picture)
    for text, size, at in LINES:
        draw.text(at, text, font=ImageFont.truetype(FONT, size), fill=(20, 30, 60))
    text, size, at = UPSIDE_DOWN
    strip = Image.new("RGB", (400, 56), (250, 248, 240))
    ImageDraw.Draw(strip).text((6, 4), text, font=ImageFont.truetype(FONT, size), fill=(120, 20, 20))
    picture.paste(strip.rotate(180), at)
    picture.save(sys.argv[1] if len(sys.argv) > 1 else "picture.png", optimize=True)


if __name__ == "__main__":
    main()
