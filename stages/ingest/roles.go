package ingest

import (
	"strings"

	"github.com/glmflow/glmflow/schemas"
)

// roleOf returns the role that a sender's word stands for, in the layouts we
// know and in the tables of customer service desks, Chinese and English.
func roleOf(word string) (role string, ok bool) {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "user", "human", "customer", "client", "visitor", "buyer", "consumer", "guest", "member", "end_user", "end-user", "enduser",
		"inbound", "incoming", "usr", "提问者", "客户", "用户", "顾客", "买家", "访客", "会员", "咨询者", "消费者", "乘客", "患者", "进线":
		return schemas.RoleUser, true
	case "assistant", "gpt", "agent", "bot", "robot", "model", "chatgpt", "bing", "bard", "chatglm", "staff", "support", "seller",
		"operator", "rep", "representative", "service", "outbound", "outgoing",
		"客服", "人工客服", "坐席", "座席", "人工", "机器人", "智能客服", "商家", "卖家", "店小二", "小二", "助手", "专员", "回答者":
		return schemas.RoleAssistant, true
	case "system", "developer", "系统", "系统消息", "notice":
		return schemas.RoleSystem, true
	case "tool", "function", "observation", "function_response", "tool_response", "工具":
		return schemas.RoleObservation, true
	}
	return "", false
}
