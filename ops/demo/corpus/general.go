package corpus

import (
	"fmt"
	"iter"
	"math/rand/v2"
)

// General is an endless stream of small talk in both languages (greetings,
// hobbies, weather, food, sums, plain facts) and of reading exercises (see
// reading.go). It teaches a base model the two languages and the shape of a
// conversation, and nothing about what the shop answers to whom.
func General(seed uint64) iter.Seq[[]Message] {
	return func(yield func([]Message) bool) {
		r := rand.New(rand.NewPCG(seed, 0x67656e6572616c))
		topics, shops := [][]line{generalChinese(), generalEnglish()}, []*shop{chinese(), english()}
		for {
			lang := r.IntN(2)
			if r.IntN(3) > 0 {
				if !yield(reading(r, shops[lang])) {
					return
				}
				continue
			}
			lines := topics[lang]
			var talk []Message
			for range 1 + r.IntN(3) {
				l, slots := pick(r, lines), generalSlots(r, lang)
				talk = append(talk,
					Message{Role: "user", Content: expand(r, l.ask, slots)},
					Message{Role: "assistant", Content: expand(r, l.answer, slots)})
			}
			if !yield(talk) {
				return
			}
		}
	}
}

func generalSlots(r *rand.Rand, lang int) map[string]string {
	zh := map[string][]string{
		"city":   {"北京", "上海", "广州", "重庆", "天津", "杭州", "大连", "拉萨", "海口", "兰州"},
		"food":   {"饺子", "火锅", "面条", "烤鸭", "豆腐", "粥", "包子", "红烧肉", "炒饭", "酸菜鱼"},
		"sport":  {"游泳", "跑步", "打篮球", "爬山", "羽毛球", "骑车", "瑜伽", "滑雪"},
		"animal": {"猫", "狗", "兔子", "大象", "熊猫", "鲸鱼", "老虎", "燕子"},
		"season": {"春天", "夏天", "秋天", "冬天"},
		"thing":  {"书", "电影", "歌", "故事", "画", "诗"},
		"name":   {"小李", "小王", "阿明", "小红", "老张", "小雨"},
		"when":   {"今天", "明天", "周末", "早上", "晚上", "昨天"},
	}
	en := map[string][]string{
		"city":   {"London", "Paris", "Sydney", "Berlin", "Madrid", "Rome", "Chicago", "Kyoto", "Lima", "Cairo"},
		"food":   {"soup", "pasta", "rice", "bread", "salad", "curry", "pancakes", "apple pie", "noodles", "stew"},
		"sport":  {"swimming", "running", "tennis", "hiking", "chess", "cycling", "yoga", "skiing"},
		"animal": {"cat", "dog", "rabbit", "elephant", "panda", "whale", "tiger", "swallow"},
		"season": {"spring", "summer", "autumn", "winter"},
		"thing":  {"book", "film", "song", "story", "painting", "poem"},
		"name":   {"Anna", "Tom", "Lucy", "Ben", "Mia", "Jack"},
		"when":   {"today", "tomorrow", "this weekend", "this morning", "tonight", "yesterday"},
	}
	lists := zh
	if lang == 1 {
		lists = en
	}
	a, b := 1+r.IntN(20), 1+r.IntN(20)
	slots := map[string]string{"a": fmt.Sprint(a), "b": fmt.Sprint(b), "sum": fmt.Sprint(a + b)}
	for _, name := range []string{"city", "food", "sport", "animal", "season", "thing", "name", "when"} {
		slots[name] = pick(r, lists[name])
	}
	return slots
}

func generalChinese() []line {
	return []line{
		{"[你好|您好|嗨|早上好|晚上好]", "[你好|您好]！[很高兴见到你|有什么可以帮你的吗|今天过得怎么样]？"},
		{"[我叫{name}|我是{name}]，[很高兴认识你|你呢]", "[你好，{name}|认识你很高兴，{name}]，[我是一个语言助手|我可以陪你聊天]。"},
		{"{when}{city}[天气怎么样|会下雨吗|冷不冷]？", "[我查不到实时天气|我看不到实时的天气]，[不过{season}的{city}通常|一般来说{city}的{season}][比较舒服|温差大一些|要带件外套]。"},
		{"[你喜欢|推荐一种|{when}吃什么，]{food}[吗|怎么样]？", "{food}[很好吃|是个好选择|很多人喜欢]，[配上一碗热汤更好|{season}吃特别合适|自己做也不难]。"},
		{"{food}[怎么做|做法是什么]？", "[先准备好材料|先把材料洗净切好]，[锅里加水烧开|热锅加少许油]，[小火煮二十分钟|中火炒五分钟]，[最后加盐调味|出锅前加一点盐]。"},
		{"{a}加{b}[等于多少|是几]？", "{a}加{b}等于{sum}。"},
		{"[我想学|怎么开始]{sport}[，有什么建议|]？", "[先从简单的开始|不要着急，慢慢来]，[每周练习两三次|每次半小时就够]，[注意热身|记得多喝水]，[坚持最重要|找个伙伴一起会更有趣]。"},
		{"[给我讲个|说一个][关于{animal}的|]故事[吧|]", "[从前有一只{animal}|很久以前，森林里住着一只{animal}]，[它每天|在{season}里它][都去河边散步|帮助别的动物]，[大家都很喜欢它|后来它交到了许多朋友]。"},
		{"[推荐一{thing}|有什么好的{thing}]吗？", "[可以试试经典的作品|我建议先看评价高的]，[适合{when}慢慢欣赏|{season}读起来很有感觉]，[希望你会喜欢|看完可以和朋友讨论]。"},
		{"{animal}[吃什么|住在哪里|有什么特点]？", "{animal}是[常见的|可爱的|聪明的]动物，[生活在适合它的环境里|不同地方的习性不太一样]，[我们应该爱护它们|需要足够的食物和空间]。"},
		{"[我{when}心情不好|最近有点累|压力好大]", "[听起来你很辛苦|我理解你的感受]，[可以去{sport}放松一下|早点休息|和{name}聊聊天]，[明天会更好|慢慢就会好起来]。"},
		{"[谢谢|再见|晚安|拜拜]", "[不客气|再见|晚安]，[祝你愉快|期待下次聊天|好好休息]！"},
		{"{city}[有什么好玩的|值得去吗]？", "{city}[很值得去|有不少景点]，[{season}去最合适|建议玩两三天]，[别忘了尝尝当地的{food}|可以先逛老城区]。"},
	}
}

func generalEnglish() []line {
	return []line{
		{"[Hello|Hi|Hey|Good morning|Good evening]", "[Hello|Hi there]! [Nice to meet you|How can I help|How are you today]?"},
		{"[I am|My name is] {name}[, and you?|, nice to meet you.]", "[Hello {name}|Pleased to meet you, {name}]. [I am a language assistant|I am here to chat]."},
		{"[How is the weather in {city} {when}|Will it rain in {city} {when}]?", "[I can't see live weather|I don't have live data], but {season} in {city} is [often mild|usually windy|best with a coat]."},
		{"[Do you like|What about|Is it good to eat] {food} {when}?", "{food} is [a fine choice|loved by many people|easy to make], [good in {season}|best with friends|and it keeps you warm]."},
		{"How do I [make|cook] {food}?", "[Wash and cut everything first|Get all you need ready], [boil some water|heat a little oil], [cook it for twenty minutes|stir for five minutes] and [add salt at the end|season it well]."},
		{"What is {a} plus {b}?", "{a} plus {b} is {sum}."},
		{"[I want to start|How can I learn] {sport}[, any tips||]?", "[Begin with something easy|Take your time], [practise twice a week|half an hour is enough], [warm up first|drink enough water] and [keep going|go with a friend]."},
		{"Tell me a story [about a {animal}|].", "[Once there was a {animal}|Long ago a {animal} lived in a wood]. [Every day it walked to the river|In {season} it helped the others], and [everyone liked it|it made many friends]."},
		{"Can you recommend a {thing}?", "[Try a classic|Pick one with good reviews]; [it suits a quiet evening|{season} is the time for it]. [I hope you like it.|Tell a friend about it.]"},
		{"[What does a {animal} eat|Where does a {animal} live]?", "A {animal} is a [common|lovely|clever] animal; it [lives where it finds food|needs space and food], and [we should take care of it|habits differ by place]."},
		{"[I feel sad {when}|I am tired|Too much stress].", "[That sounds hard|I understand]. [Some {sport} may help|Get some rest|Talk to {name}]; [tomorrow will be better|it gets better]."},
		{"[Thanks|Bye|Good night|See you]", "[You are welcome|Goodbye|Good night], [have a nice day|talk to you soon|sleep well]!"},
		{"[What is there to see in {city}|Is {city} worth a visit]?", "{city} is [worth it|full of sights]; [go in {season}|stay two or three days] and [try the {food}|start in the old town]."},
	}
}
