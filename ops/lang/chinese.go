package lang

// Chinese holds the Chinese of every English phrase. Verbs such as %d stand in
// the same order in both.
func Chinese() map[string]string {
	return map[string]string{
		// Console.
		"Flow": "流程", "Models": "模型", "Runs": "运行", "Run": "运行", "The flow": "数据流",
		"%d working": "处理中 %d", "%d done": "完成 %d", "%d parked": "搁置 %d",
		"Nothing has run yet.":          "还没有运行记录。",
		"Send a conversation to begin:": "发送一段对话即可开始：",
		"No model is published yet.":    "还没有发布任何模型。",
		"state":                         "状态", "what": "项目", "started": "开始", "took": "用时", "why": "原因", "who": "发起人",
		"stage": "阶段", "waiting": "等待", "done": "完成", "parked": "搁置", "running": "进行中", "cancelled": "已取消",
		"rows in": "输入行", "rows out": "输出行", "Stages": "阶段", "Loss": "损失", "Parked": "已搁置",
		"reason": "原因", "attempts": "次数", "version": "版本", "aliases": "别名", "History": "历史", "when": "时间", "action": "操作",
		"training": "训练", "validation": "验证", "nats per target": "每个目标的 nats",
		"The same from a terminal:": "在终端中查看：", "trained on": "训练窗口",
		"gate": "门禁", "failed rules": "未通过的规则", "all rules held": "所有规则均通过",

		// The demo's report.
		"From conversations to a model": "从对话到模型",
		"%d conversations in %d files; %d lines could not be read and are kept with their reasons.": "%d 段对话，来自 %d 个文件；%d 行无法读取，已连同原因保留。",
		"rule": "规则", "in": "输入", "dropped": "丢弃", "changed": "修改", "out": "输出",
		"Personal data masked: %s.": "已遮蔽的个人信息：%s。",
		"Planted and found":         "埋入与找回",
		"planted":                   "埋入", "times": "次数", "found": "找到", "what should happen": "应如何处理",
		"drop": "丢弃", "mask": "遮蔽", "mend and keep": "修复并保留", "keep": "保留", "keep the reason": "记录原因",
		"Honest conversations dropped that should have been kept: %d of %d.": "被误丢的正常对话：%d / %d。",
		"The window": "训练窗口",
		"%d conversations, %d near-duplicates dropped; %d to train on, %d to validate, %d held out. %d tokens, %d of them targets.": "%d 段对话，丢弃近重复 %d 段；训练 %d，验证 %d，留出 %d。共 %d 个词元，其中 %d 个为训练目标。",
		"Training": "训练",
		"%s on %s: %d trainable parameters, %d steps, best at step %d.":         "%s，设备 %s：可训练参数 %d，共 %d 步，最佳为第 %d 步。",
		"line: training loss, ●: validation loss (nats per target), over steps": "曲线：训练损失；●：验证损失（每个目标的 nats）；横轴为步数",
		"Before and after": "前后对比",
		"measure":          "指标", "slice": "切片", "before": "之前", "after": "之后", "change": "变化", "95 %% interval": "95 %% 区间",
		"Answers": "回答对照", "question": "问题", "the desk": "人工",
		"The gate":               "门禁",
		"Nothing was published.": "没有发布任何版本。",
		"Published as %s and promoted to production.":                        "已发布为 %s，并提升为 production。",
		"Published as %s; it waits as candidate for a person to promote it.": "已发布为 %s；作为 candidate 等待人工提升。",
		"Kept as %s, not promoted: the gate said no.":                        "保留为 %s，未提升：门禁未通过。",
		"Where it lies, and what to try next":                                "产物位置与下一步",
		"where":                                                              "位置", "logs": "日志", "base model": "基础模型", "artifacts (Parquet, adapters)": "产物（Parquet、适配器）",
		"versions, aliases, history": "版本、别名与历史", "check signature and lineage": "校验签名与来源",
		"what ran, and what was parked": "运行记录与搁置项", "serve the flow with its console": "启动流程与控制台",
		"Done in %s.": "用时 %s。",
	}
}
