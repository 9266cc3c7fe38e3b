"""Names of ten clusters of Chinese reviews, against the ten kinds of goods that the reviews are of.

The reviews (`mine_quality` says how they are read and encoded) become ten clusters, by k-means of the fused
features as in a run, and of the embeddings alone, as they are, beside it. A name matches goods where one of
its words is in their list below, written before any name was seen. Asked is of each kind of goods whether the
name of the cluster that most of its reviews are in matches it (``goods_matched``), and the other way round of
each cluster whether its name matches the goods that most of its rows are of (``clusters_matched``), which a
cluster of what reviews of all goods share cannot. Passes where the names match at least 8 of the 10 kinds of
goods, of the fused clusters. What naming alone can do a third kind tells, ``goods``: the kinds of goods
themselves as clusters.
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

import mine_quality
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.fuse.labelled_rows import class_column
from fusionspark.mine.cluster_naming import NAMING
from fusionspark.mine.cluster_summary import summarise

FLOOR = 8
#: The goods, and what such reviews call them and their parts.
WORDS = {
    "书籍": "书 书籍 本书 这本书 作者 阅读 读者 小说 读书 看书",
    "平板": "平板 平板电脑 ipad 屏幕 pad",
    "手机": "手机 电话 通话 电池 诺基亚 机子 短信",
    "水果": "水果 苹果 新鲜 好吃 脐橙 橙子 水分 果子",
    "洗发水": "洗发水 洗发 头发 飘柔 海飞丝 去屑 洗头 头屑 洗发露",
    "热水器": "热水器 热水 安装 加热 烧水 师傅",
    "蒙牛": "蒙牛 牛奶 奶 伊利 奶粉 乳业",
    "衣服": "衣服 面料 尺码 裤子 穿 布料 款式",
    "计算机": "计算机 电脑 笔记本 笔记本电脑 系统 机器 硬盘 散热 键盘",
    "酒店": "酒店 房间 宾馆 前台 入住 服务员 客房",
}


def options(parser: argparse.ArgumentParser) -> None:
    mine_quality.options(parser)
    parser.set_defaults(sets=["shopping"])


def measure(spark: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = mine_quality.fused(spark, "shopping", arguments, folder).run
        prepared = home.read(c.PREPARED)
        kinds = mine_quality.kinds(home)
        each = {k: mine_quality.grouped(kinds[k], len(WORDS), arguments.seed) for k in ("fused", "text")}
        number = class_column(c.LABEL, list(WORDS))
        each["goods"] = prepared.select(c.ROW_ID, number.alias(c.CLUSTER), F.lit(0.0).alias(c.DISTANCE))
        for kind, grouped in each.items():
            clusters = grouped.cache()
            named = [judged(one) for one in summarise(clusters, prepared)]
            for one in named:
                print(kind, *one.values(), sep=" | ", flush=True)
            homes = {goods: max(named, key=lambda one: one["labels"].get(goods, 0)) for goods in WORDS}
            found[kind] = {
                "clusters_matched": sum(matches(one["words"], one["goods"]) for one in named),
                "goods_matched": sum(matches(homes[goods]["words"], goods) for goods in WORDS),
                "homes": {goods: home["name"] for goods, home in homes.items()},
                "clusters": named,
            }
    return {**found, "floor": FLOOR, "passed": found["fused"]["goods_matched"] >= FLOOR}


def judged(one: dict[str, Any]) -> dict[str, Any]:
    """What a cluster is called, and the goods that most of its rows are of."""
    goods, rows = max(one["labels"].items(), key=lambda pair: pair[1])
    return {
        "goods": goods,
        "share": round(rows / one["rows"], 3),
        "name": one["name"],
        "words": sorted({word for term in one["terms"][:NAMING] for word in term.split(" ")}),
        "labels": one["labels"],
    }


def matches(words: list[str], goods: str) -> bool:
    """Whether one of the words is in the list of the goods."""
    return bool(set(words) & set(WORDS[goods].split(" ")))
