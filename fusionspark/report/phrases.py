"""Every phrase of the page, in each language. Placeholders in braces are the same in all of them."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from fusionspark.errors import ConfigError, nearest
from fusionspark.report.display import visible

PHRASES: dict[str, dict[str, str]] = {
    "en": {
        "html_lang": "en",
        "default_title": "fusionspark run",
        "run_date": "Run date",
        "theme": "Light / dark",
        "print": "Print",
        "contents": "Contents",
        "filter": "Filter rows",
        "shown": "{shown} of {all} rows",
        "no_script": "Figures, sorting and filtering need JavaScript; every number is in the tables.",
        "made_by": "Made by fusionspark from run.json. Self-contained: loads nothing from the network.",
        # summary
        "summary": "Summary",
        "best_of": "The best of {count} algorithms is {best}, chosen by macro-F1 on the validation rows.",
        "best_of_train": "The best of {count} algorithms is {best}, chosen on the training rows because none "
        "were held out for validation. Read its lead with care.",
        "best_only": "One algorithm was trained: {best}.",
        "held_out": "On {rows} {split} rows it has accuracy {accuracy}, macro-F1 {f1} and ROC-AUC {auc}.",
        "held_out_interval": "On {rows} {split} rows it has accuracy {accuracy} (95% interval {low} to {high}), "
        "macro-F1 {f1} and ROC-AUC {auc}.",
        "not_held_out": "No rows were held out: the figures on training rows say nothing about new rows.",
        "beats_majority": "Always answering the most frequent class, {label}, would reach {majority}; "
        "the model gains {gain} points over that.",
        "loses_to_majority": "Always answering the most frequent class, {label}, would reach {majority}: "
        "the model is {gain} points below, so it is not worth using as it stands.",
        "ties_majority": "Always answering the most frequent class, {label}, would reach {majority}: "
        "within the interval of the model, so a gain is not shown.",
        "gap_small": "On its training rows the accuracy is {train}, {gap} points from {split}: no sign of "
        "over-fitting.",
        "gap_some": "On its training rows the accuracy is {train}, {gap} points above {split}: some over-fitting.",
        "gap_large": "On its training rows the accuracy is {train}, {gap} points above {split}: strong "
        "over-fitting; expect less on new rows.",
        "no_classify": "Nothing was classified: the table has no labels, or this step was not run.",
        "rows_all": "{rows_in} rows came in and all went through; none was quarantined.",
        "rows_some": "{rows_in} rows came in, {rows_out} went through and {bad} ({share}) were quarantined; "
        "the reasons are below.",
        "rows_lost": "{rows_in} rows came in, but {rows_out} out and {bad} quarantined do not add up to that.",
        "embedded": "{texts} texts ({distinct} distinct) became vectors: {encoded} encoded at {rate} texts/s, "
        "{reused} reused.",
        "embedded_cut": "{truncated} texts ({share}) were longer than the model reads and were cut.",
        "no_represent": "No text was embedded in this run.",
        "structure_strong": "{k} clusters with silhouette {silhouette}: clearly apart.",
        "structure_some": "{k} clusters with silhouette {silhouette}: a reasonable structure.",
        "structure_weak": "{k} clusters with silhouette {silhouette}: a weak structure, groups run into each other.",
        "structure_none": "{k} clusters with silhouette {silhouette}: hardly apart; read them as a cut through "
        "one cloud, not as natural groups.",
        "structure_unknown": "{k} clusters were formed.",
        "no_cluster": "No clusters were formed in this run.",
        "took": "The run took {seconds}; the longest stage was {stage} with {stage_seconds}.",
        # tiles
        "accuracy": "Accuracy",
        "macro_f1": "Macro-F1",
        "auc": "ROC-AUC",
        "rows": "Rows",
        "rows_in": "Rows in",
        "rows_out": "Rows out",
        "quarantined": "Quarantined",
        "rate": "Texts per second",
        "duration": "Duration",
        "silhouette": "Silhouette",
        "clusters": "Clusters",
        "interval": "95% interval",
        "interval_note": "95%: {low} to {high}",
        "majority_note": "most frequent class: {value}",
        "on_split": "on {split} rows",
        # data
        "data": "Data and quarantine",
        "stages": "Stages",
        "stage": "Stage",
        "seconds": "Seconds",
        "stage_seconds": "Seconds by stage",
        "share_of_time": "Share of time",
        "rows_per_second": "Rows/s",
        "reasons": "Quarantined rows by reason",
        "reason": "Reason",
        "examples": "Examples (row_id)",
        "no_reasons": "No row was quarantined.",
        "blocks": "Feature blocks",
        "block": "Block",
        "dimension": "Dimensions",
        "weight": "Weight",
        "classes": "Classes",
        # embedding
        "embedding": "Embedding",
        "texts": "Texts",
        "distinct": "Distinct texts",
        "encoded": "Encoded now",
        "reused": "Reused",
        "tokens": "Tokens",
        "tokens_per_text": "Tokens per encoded text",
        "truncated": "Truncated texts",
        "model": "Model",
        "model_digest": "Model digest",
        "model_loads": "Model loads",
        "figure": "Figure",
        "value": "Value",
        "embedding_figures": "Cost and reuse",
        # classification
        "classification": "Classification",
        "algorithm": "Algorithm",
        "algorithms": "Algorithms on each split",
        "split": "Split",
        "train": "train",
        "validation": "validation",
        "test": "test",
        "gap": "Train minus this",
        "floor": "most frequent class",
        "metric_by_split": "{metric} by algorithm and split",
        "per_class": "{best}: each class on {split} rows",
        "class": "Class",
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1",
        "support": "Rows",
        "confusion": "{best}: confusion matrix on {split} rows",
        "confusion_note": "Rows are the true class, columns the predicted one. Colour is the share of the row.",
        "confusion_cut": "The {kept} most frequent classes are shown; {others} more are added up as “{other}”.",
        "other": "other",
        "true_class": "True class",
        "predicted_class": "Predicted class",
        "roc": "{best}: ROC curves on {split} rows, one class against the rest",
        "roc_cut": "The {kept} most frequent classes are shown.",
        "fpr": "False positive rate",
        "tpr": "True positive rate",
        "chance": "chance",
        "auc_error": "The table is large: scores were rounded before ranking, the AUC is right to within {error}.",
        # clusters
        "cluster": "Cluster",
        "cluster_n": "Cluster {n}",
        "cluster_sizes": "Rows in each cluster",
        "size_note": "{rows} rows, {share}",
        "typical": "Typical rows",
        "terms": "Terms",
        "labels": "Labels",
        "map": "Map of the rows (first two principal components)",
        "map_note": "A sample of {shown} rows. Near points have similar features; two axes show only a part of the "
        "differences. Hover or tap a point to read it.",
        "map_cut": "{shown} of {all} sampled rows are drawn.",
        "cluster_cut": "The {shown} largest of {all} clusters are described.",
        # setup
        "setup": "Configuration and versions",
        "configuration": "Configuration",
        "versions": "Versions",
        "key": "Key",
        "component": "Component",
        "version": "Version",
        "config_digest": "Configuration digest",
        "nothing_known": "run.json says nothing about this.",
        "rows_cut": "The first {shown} of {all} rows are shown; run.json has them all.",
    },
    "zh": {
        "html_lang": "zh-CN",
        "default_title": "fusionspark 运行报告",
        "run_date": "运行日期",
        "theme": "浅色 / 深色",
        "print": "打印",
        "contents": "目录",
        "filter": "筛选行",
        "shown": "显示 {shown} / {all} 行",
        "no_script": "图表、排序和筛选需要 JavaScript；所有数字都在表格中。",
        "made_by": "由 fusionspark 根据 run.json 生成。页面自包含，不从网络加载任何内容。",
        "summary": "摘要",
        "best_of": "{count} 个算法中最好的是 {best}，按验证集的宏平均 F1 选出。",
        "best_of_train": "{count} 个算法中最好的是 {best}；由于没有留出验证集，它是在训练集上选出的，其领先程度请谨慎看待。",
        "best_only": "只训练了一个算法：{best}。",
        "held_out": "在 {rows} 行{split}数据上，准确率 {accuracy}，宏平均 F1 {f1}，ROC-AUC {auc}。",
        "held_out_interval": "在 {rows} 行{split}数据上，准确率 {accuracy}（95% 区间 {low} 至 {high}），"
        "宏平均 F1 {f1}，ROC-AUC {auc}。",
        "not_held_out": "没有留出数据：训练集上的数字不能说明模型在新数据上的表现。",
        "beats_majority": "若总是回答最常见的类别 {label}，准确率为 {majority}；模型比它高 {gain} 个百分点。",
        "loses_to_majority": "若总是回答最常见的类别 {label}，准确率为 {majority}；模型反而低 {gain} 个百分点，目前不值得使用。",
        "ties_majority": "若总是回答最常见的类别 {label}，准确率为 {majority}；它落在模型的区间之内，尚不能说明模型有提升。",
        "gap_small": "训练集上的准确率为 {train}，与{split}集相差 {gap} 个百分点：没有过拟合迹象。",
        "gap_some": "训练集上的准确率为 {train}，比{split}集高 {gap} 个百分点：有一定过拟合。",
        "gap_large": "训练集上的准确率为 {train}，比{split}集高 {gap} 个百分点：过拟合严重，在新数据上会更差。",
        "no_classify": "没有进行分类：数据表没有标签，或未运行此步骤。",
        "rows_all": "输入 {rows_in} 行，全部通过，没有被隔离的行。",
        "rows_some": "输入 {rows_in} 行，通过 {rows_out} 行，隔离 {bad} 行（{share}）；原因见下文。",
        "rows_lost": "输入 {rows_in} 行，但通过的 {rows_out} 行与隔离的 {bad} 行之和与之不符。",
        "embedded": "{texts} 条文本（{distinct} 条不同）转换为向量：新编码 {encoded} 条，每秒 {rate} 条，复用 {reused} 条。",
        "embedded_cut": "{truncated} 条文本（{share}）超过模型长度上限而被截断。",
        "no_represent": "本次运行没有对文本做向量化。",
        "structure_strong": "{k} 个聚类，轮廓系数 {silhouette}：界限清晰。",
        "structure_some": "{k} 个聚类，轮廓系数 {silhouette}：结构较合理。",
        "structure_weak": "{k} 个聚类，轮廓系数 {silhouette}：结构较弱，各组相互交叠。",
        "structure_none": "{k} 个聚类，轮廓系数 {silhouette}：几乎没有分开，应看作对同一片点云的划分，而非天然的分组。",
        "structure_unknown": "得到 {k} 个聚类。",
        "no_cluster": "本次运行没有做聚类。",
        "took": "本次运行用时 {seconds}；最长的阶段是 {stage}，用时 {stage_seconds}。",
        "accuracy": "准确率",
        "macro_f1": "宏平均 F1",
        "auc": "ROC-AUC",
        "rows": "行数",
        "rows_in": "输入行数",
        "rows_out": "通过行数",
        "quarantined": "隔离行数",
        "rate": "每秒文本数",
        "duration": "用时",
        "silhouette": "轮廓系数",
        "clusters": "聚类",
        "interval": "95% 区间",
        "interval_note": "95%：{low} 至 {high}",
        "majority_note": "最常见类别：{value}",
        "on_split": "{split}集",
        "data": "数据与隔离",
        "stages": "各阶段",
        "stage": "阶段",
        "seconds": "秒",
        "stage_seconds": "各阶段用时（秒）",
        "share_of_time": "时间占比",
        "rows_per_second": "行/秒",
        "reasons": "按原因统计的隔离行",
        "reason": "原因",
        "examples": "示例（row_id）",
        "no_reasons": "没有被隔离的行。",
        "blocks": "特征块",
        "block": "特征块",
        "dimension": "维数",
        "weight": "权重",
        "classes": "类别",
        "embedding": "文本向量",
        "texts": "文本数",
        "distinct": "不同文本数",
        "encoded": "本次编码",
        "reused": "复用",
        "tokens": "词元数",
        "tokens_per_text": "每条编码文本的词元数",
        "truncated": "被截断的文本",
        "model": "模型",
        "model_digest": "模型摘要值",
        "model_loads": "模型加载次数",
        "figure": "指标",
        "value": "数值",
        "embedding_figures": "成本与复用",
        "classification": "分类",
        "algorithm": "算法",
        "algorithms": "各算法在各数据集上的结果",
        "split": "数据集",
        "train": "训练",
        "validation": "验证",
        "test": "测试",
        "gap": "训练集之差",
        "floor": "最常见类别",
        "metric_by_split": "各算法在各数据集上的{metric}",
        "per_class": "{best}：{split}集上的各类别",
        "class": "类别",
        "precision": "精确率",
        "recall": "召回率",
        "f1": "F1",
        "support": "行数",
        "confusion": "{best}：{split}集上的混淆矩阵",
        "confusion_note": "行为真实类别，列为预测类别；颜色表示占该行的比例。",
        "confusion_cut": "显示最常见的 {kept} 个类别，其余 {others} 个合并为“{other}”。",
        "other": "其他",
        "true_class": "真实类别",
        "predicted_class": "预测类别",
        "roc": "{best}：{split}集上的 ROC 曲线（一类对其余）",
        "roc_cut": "显示最常见的 {kept} 个类别。",
        "fpr": "假正率",
        "tpr": "真正率",
        "chance": "随机",
        "auc_error": "数据表很大：排序前对分数做了取整，AUC 的误差不超过 {error}。",
        "cluster": "聚类",
        "cluster_n": "聚类 {n}",
        "cluster_sizes": "各聚类的行数",
        "size_note": "{rows} 行，占 {share}",
        "typical": "典型行",
        "terms": "关键词",
        "labels": "标签",
        "map": "数据分布图（前两个主成分）",
        "map_note": "抽样 {shown} 行。相近的点特征相似；两个坐标轴只能反映部分差异。悬停或点按可阅读该行。",
        "map_cut": "抽样的 {all} 行中绘制了 {shown} 行。",
        "cluster_cut": "共 {all} 个聚类，描述其中最大的 {shown} 个。",
        "setup": "配置与版本",
        "configuration": "配置",
        "versions": "版本",
        "key": "键",
        "component": "组件",
        "version": "版本",
        "config_digest": "配置摘要值",
        "nothing_known": "run.json 中没有这方面的内容。",
        "rows_cut": "显示 {all} 行中的前 {shown} 行；run.json 中有全部内容。",
    },
}


class Words:
    """The phrases of one language.

    Parameters
    ----------
    language : str
        A key of `PHRASES`.

    Raises
    ------
    ConfigError
        For a language without phrases.
    """

    def __init__(self, language: str) -> None:
        if language not in PHRASES:
            raise ConfigError(
                "report language",
                f"{language!r} is not known{nearest(language, PHRASES)}",
                allowed=", ".join(sorted(PHRASES)),
                remedy="set the language of the report to one of these",
            )
        self._phrases = PHRASES[language]

    def __call__(self, key: str, **values: Any) -> Markup:
        """Return a phrase as markup; values are escaped, isolated from the text's direction, and bold."""
        held = {
            name: Markup("<b><bdi>{}</bdi></b>").format(visible(value, 120)) for name, value in values.items()
        }
        return Markup(self._phrases[key]).format(**held)

    def plain(self, key: str, **values: Any) -> str:
        """Return a phrase as text that is not escaped yet."""
        return self._phrases[key].format(**{name: visible(value, 120) for name, value in values.items()})

    def name(self, key: str) -> str:
        """Return the phrase for a technical name (a split, a figure), or the name itself."""
        return self._phrases.get(key, key)
