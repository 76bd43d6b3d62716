package corpus

// english is the English side of the desk; the policy is the same as in
// shop_zh.go.
func english() *shop {
	return &shop{
		lang: "en",
		products: []string{"quiet humidifier", "air fryer", "robot vacuum", "kids desk lamp", "insulated bottle", "electric toothbrush", "ergonomic chair",
			"bluetooth headset", "electric kettle", "blender", "memory foam pillow", "folding rack", "mite vacuum", "coffee machine", "cabin suitcase",
			"air purifier", "smart lock", "projector", "latex mattress", "massage gun"},
		places:    []string{"Leeds", "Austin", "Dublin", "Perth", "Toronto", "Denver", "Bristol", "Auckland", "Oslo", "Seattle", "Cardiff", "Boston", "Malmo", "Porto", "Tampa"},
		carriers:  []string{"UPS", "DHL", "FedEx", "Royal Mail", "the courier", "USPS"},
		faults:    []string{"won't turn on", "keeps leaking", "is very loud", "does not charge", "won't pair with my phone", "has a line across the screen", "smells burnt", "wobbles on its base", "shuts off after ten minutes", "ignores every button"},
		people:    []string{"my mum", "my dad", "my wife", "a colleague", "my daughter", "my flatmate", "grandma", "a friend"},
		colours:   []string{"white", "black", "misty blue", "cream", "rose", "dark green"},
		duration:  []string{"two weeks", "three days", "a week", "two months", "almost a year", "a few days", "a month"},
		platforms: []string{"PayPal", "my credit card", "Apple Pay", "a debit card", "Klarna"},
		hello:     "[Hello, |Hi there, |Thanks for waiting. |Thank you for writing to Spruce Store. ||Good day, ]",
		topics: []topic{
			{name: "shipping", open: []line{
				{"[Hi, |Hello, ||Hey, ][where is my {product}|any news on the {product} I bought on {date}|when will my {product} get to {place}]? [Order {order}.||Number {order}.]",
					"[I found order {order}|I can see order {order}]: {carrier} [has it|is carrying it], [it left {place} last night|it is at the {place} hub], and [it should arrive within two days|delivery usually takes 48 hours more]. [You will get a text before delivery.|The driver will call ahead.]"},
				{"[Tracking|The app|{carrier}] says [delivered|it was delivered on {date}] but [I never got the {product}|there is no {product} here]. [Order {order}.||I need it soon.]",
					"[I am so sorry|Sorry about that]. I [have asked {carrier} who signed for it|opened a trace with {carrier}] and [will answer within 24 hours|you will hear from us today]. [If it is lost|Should it be lost], we [send a new {product} free of charge|ship a replacement at no cost]."},
				{"[My parcel has not moved for {duration}.|No tracking update in {duration}.] [Is it lost?|What is going on?] [It is a {product}.||{order}]",
					"The parcel [is held in {place}|waits in {place}] [because of the weather|since that route is busy]. I [have asked for priority|pushed it with {carrier}]; [if nothing moves in 48 hours|if it stays there tomorrow], we [will send another|resend it]."},
			}, follow: []line{
				{"[Can you|Could you] [use|switch to] {carrier} instead?", "[The warehouse picks the carrier|Carriers are assigned by the warehouse], but I [left a note for {carrier}|noted your wish for {carrier}]; [no promise though|we can't guarantee it]."},
				{"[The address is wrong|I typed the wrong address], [can it go to {place2}|please change it to {place2}]?", "[It has not left {place}, so yes|Yes, it can still be changed]. I [sent the new address|redirected it to {place2}]; [add a day or two|allow one or two extra days]."},
				{"[Who pays for shipping|How much is shipping]?", "[Orders over 20 ship free|Shipping is free above 20], [so yours is free|and yours qualifies]. [Remote areas cost 5 more.|Islands add 5.]"},
				{"[Can they leave it with a neighbour|Can it be left at the door]?", "[Of course|Sure]. I [told the driver|added a note], and [you will get a photo|a message will confirm it]."},
			}},
			{name: "returns", open: []line{
				{"[I want to|I'd like to|How do I] return the {product}[, I had it for {duration}|, it is not what I expected||, it doesn't fit]. [Order {order}.||Bought on {date}.]",
					"[No problem|Of course]. [You have seven days after delivery for any reason|Returns are open for seven days]; [keep the box and all parts|please include every part]. [Open the order and press return|Use the return button on your order], and [we approve it within two hours|approval takes two hours at most]."},
				{"[You sent the wrong colour|Wrong colour came]: I [ordered|asked for] {colour} and got {colour2}. [Order {order}.|The {product}.]",
					"[Our mistake, sorry|I apologise, that is on us]. We [pay postage both ways|cover all postage], [ship the {colour} one today|will send {colour} right away], and [the courier takes the old one|hand the old one to the courier]."},
				{"Can I [swap|exchange] the {product} [for a {other}|for {colour}|for a bigger one]?",
					"[Yes you can|Yes]. [One free exchange within fifteen days|Within fifteen days one exchange is free]; [any price difference is settled automatically|we charge or refund the difference]. [Shall I register it?|I can register it now.]"},
			}, follow: []line{
				{"[When do I get my money|How long does the refund take]? [I paid with {platform}.||]", "[Three working days after the parcel reaches us|Within three working days of its arrival], [back to {platform}|the same way you paid]. [You will get an email.|A message confirms it.]"},
				{"[I threw the box away|I no longer have the box], [is that a problem|can I still return it]?", "[You can still return it|That is fine]: [use any sturdy box|pack it well]; [we deduct 5 for packaging|a packaging fee of 5 applies]."},
				{"[Who pays the return postage|Is return postage free]?", "[We pay if it is faulty|For a defect we pay]; [otherwise it is yours|for a change of mind you do], [unless you have postage insurance|and insurance refunds it]."},
				{"[Can someone pick it up|Is there a pickup]?", "[Yes, tomorrow before {hour}:00|Yes, we can book one for tomorrow]. [Just have it packed.|Please have it ready.]"},
			}},
			{name: "warranty", open: []line{
				{"[My|The] {product} {fault} [after {duration}|and I only had it {duration}]. [What now?|Very disappointing.|Please help.]",
					"[I am sorry to hear that|Sorry for the trouble]. [Please unplug it for five minutes and try again|First unplug it, wait five minutes, restart]. If it still {fault}, [we repair it free of charge|I will book a free repair]: the {product} [has a two year warranty|is covered for two years]."},
				{"[How long is the warranty on|What warranty comes with] the {product}? [{person} asked.||]",
					"[Two years for the whole {product}|The {product} is covered for two years], [three for motor and board|and three years for the motor]. [Order {order} is your proof|Your order number is enough]; [damage by accident is not covered|drops are not covered]."},
				{"[Urgent: |Help, |]{product} {fault}. [Can it be repaired?|What can I do?] [I live in {place}.|{order}]",
					"[It can|Don't worry, it can]. [There is a workshop in {place}|The nearest workshop is in {place}], [or post it to us|or send it in]. [Repairs take about five days|Five working days is normal], [and a loan unit is available|free under warranty]."},
			}, follow: []line{
				{"[I tried that|Restarted it], [no change|it still {fault}].", "[Then let's not waste your time|Understood]. I [registered a replacement|will replace it], [shipping today|it ships today], and [the old one gets picked up|please keep the old one for pickup]."},
				{"[Do I have to pay for the repair|Is the repair free]?", "[Free for two years|Within two years nothing], [later you pay only parts|after that parts only], [and we quote first|with a quote before we start]."},
				{"[Where can I buy filters|Can I buy spare parts]?", "[Yes, at the bottom of the product page|Yes, search the model and spare part]. [Change filters every three months.|A filter lasts three months.]"},
			}},
			{name: "invoice", open: []line{
				{"[How do I get|Can I have|I need] an invoice [for my company||for order {order}|over {amount}]?",
					"[Once it is delivered|After delivery] [open the order and press invoice|ask for it on the order page]. [It arrives by email within two hours|We email it within two hours]; [for a VAT invoice add your VAT number|add the VAT number if needed]."},
				{"[The company name|The VAT number] on [the|my] invoice is wrong, can you [reissue|redo] it? [{order}||]",
					"[Yes we can|Sure]. [Send the right details|Enter the details again]; [the old one is cancelled|we void the old one] and [the new one comes within a working day|you have the new one by tomorrow]."},
			}, follow: []line{
				{"[Do you post paper invoices|Is there a paper copy]?", "[We only issue electronic ones|All invoices are electronic]; [they are just as valid|they count the same] and [you can print them|print it if you need]."},
				{"[When will I get it|How long does that take]?", "[Two hours as a rule|Usually within two hours], [a working day at most|tomorrow at the latest]. [Check the spam folder too.|I can resend it.]"},
				{"[Can it be split in {count}|Could I have {count} invoices]?", "[One order, one invoice|Each order has one invoice]; [separate orders get separate ones|order separately for that]."},
			}},
			{name: "price", open: []line{
				{"[The {product} got cheaper by {less} right after I bought it|It is {less} cheaper today], [do I get the difference|can you refund that]? [{order}||]",
					"[Yes|You do]: [prices are protected for fifteen days|we protect prices for fifteen days]. [The {less} goes back to you|I requested the {less}], [within three days|you have it in three days]."},
				{"[My coupon does not work|The code is refused] [on the {product}||at checkout].",
					"[Please check the minimum|It has a minimum amount]; [sale items can't be combined|it excludes sale items]. [Here is a {less} voucher without conditions|I added a {less} voucher], [valid tonight|usable from tonight]."},
				{"[Any discount for|What if I buy] {count} {product}s? [It is for the office.||]",
					"[Yes|There is]: [five percent off from three pieces|three or more get five percent off], [and companies get VAT invoices|with a VAT invoice]. [Order but don't pay yet, I will adjust it.|I can set the price for you.]"},
				{"Will the {product} be cheaper [in the sale|on Black Friday|next month]?",
					"[We don't know yet|Not announced yet], but [you are covered for fifteen days|fifteen days of price protection apply], [so there is no risk|so feel free to order]."},
			}, follow: []line{
				{"When does the [coupon|voucher] expire?", "[Thirty days after it was issued|It lasts thirty days]; [we remind you the day before|you get a reminder]."},
				{"[How do points work|Can I pay with points]?", "[A hundred points are worth one|100 points equal 1]; [tick them at checkout|choose them when paying], [they end with the year|valid this year]."},
				{"[Can you go lower|Any better price]?", "[That is the lowest|Prices are the same for all], but [I can add a small gift|a little present is possible]. [Is that fine?|I hope you understand.]"},
			}},
			{name: "howto", open: []line{
				{"How do I [connect|pair] the {product} [to wifi|with my phone]? [{person} can't do it.||]",
					"[Hold the power button for five seconds|Press and hold pair for five seconds]; [when the light blinks|once it blinks blue] open the Spruce app, [add a device|choose {product}] and [follow the steps|enter the wifi password]. [Only 2.4 GHz works.|Use a 2.4 GHz network.]"},
				{"How [often should I clean|do I clean] the {product}?",
					"[Once a week|Weekly is best]. [Unplug it first|Pull the plug], [soak the parts in warm water with vinegar|rinse removable parts], [never put the body in water|wipe the body with a cloth], [let it dry|dry it fully]."},
				{"[I just unpacked|First time with] the {product}, [what should I know|what comes first]?",
					"[Check the parts against the list|See that all parts are there], [charge it for two hours|charge it fully], [remove the film below|take off the transport lock]. [Page three has pictures.|Scan the code for a video.]"},
			}, follow: []line{
				{"[I lost the manual|Is there a manual online]?", "[It is in the Spruce app under my devices|The app has it], [and I can mail a PDF|or I send a PDF]."},
				{"Does it use a lot of power? [It runs {hour} hours a day.||]", "[Not much|It is frugal]: [eight hours take half a unit|under one unit a day]. [Switch it off when idle.|Standby is near zero.]"},
				{"Is it safe for [{person}|kids]?", "[Yes|It is]: [it has a child lock and overheat protection|overheating is prevented and there is a child lock]. [Set it up together first.|Please set it up for them.]"},
				{"[Is it loud|How noisy is it] [at night||in a bedroom]?", "[Below thirty decibels in sleep mode|Night mode is very quiet]; [a bedroom is fine|you can sleep next to it]."},
			}},
			{name: "account", open: []line{
				{"[I can't log in|It says wrong password], [what can I do|please help].",
					"[Use forgot password|Log in with a text code] and [set a new one|follow the steps]. [Five wrong tries lock it for half an hour|It locks for thirty minutes after five tries]. [We never ask for your code.|Never share the code.]"},
				{"[I was charged twice|{platform} took it twice], [{amount} each||order {order}].",
					"[I see the double payment|One payment is double indeed]. [The extra {amount} returns by itself|{amount} goes back within 24 hours] [to {platform}|the way it came]; [you need not do anything|no action needed]."},
				{"[Payment fails|I can't pay] [with {platform}||for the {product}].",
					"[Check the limit of {platform}|It may be a limit], [or try another way|or choose another method]; [the order is held for thirty minutes|you have thirty minutes]."},
				{"Can I pay [cash on delivery|at the door]? [It is a {product} for {person}.||]",
					"[Only in some cities|In a few cities], [{place} is one|{place} works]; [there is a fee of 5|it costs 5 more]."},
			}, follow: []line{
				{"How do I change my phone number [on file|]?", "[Settings, then account security|Under account security]. [The old number confirms it|You confirm with the old one], [or a face check|or by ID check]."},
				{"[How can I close my account|I want to delete the account].", "[When no order is open|First finish all orders], [ask for it in settings|then apply in settings]; [it ends after fifteen days|you have fifteen days to change your mind]."},
				{"[Can I cancel {order}|How do I cancel the order]?", "[If it has not shipped press cancel|Not shipped yet, so press cancel]; [else refuse the parcel|if it shipped, refuse it]. [Money back in three days.|Refund within three working days.]"},
			}},
			{name: "advice", open: []line{
				{"{product} or {other}, [which one|what is better]? [It is for {person}.||]",
					"[It depends|That depends on use]. [In a small flat take the {product}|At home I suggest the {product}]; [if you travel the {other}|with more budget the {other}]. [Both can be tried for seven days.|You may return either within seven days.]"},
				{"[Is the {product} in stock|Do you have the {product}] [in {colour}||for {place}]?",
					"[Yes, {colour} is in stock|Plenty in stock]. [Paid before four it ships today|Order by four and it leaves today]; [{place} takes three days|about three days to {place}]."},
				{"[A present for {person}|What can I give {person}], [any idea|about {amount}]?",
					"[Have a look at the {product}|The {product} is much loved], [{colour} sells best|most people take {colour}]. [We wrap gifts for free|Gift wrap and a card are free]; [just leave a note|say so in the order]."},
			}, follow: []line{
				{"[Are the pictures real|Is the colour like in the photo]?", "[All photos are real|We photograph the real thing]; [screens differ a little|light changes it slightly]. [Return it if unhappy.|You have seven days.]"},
				{"[Does installation cost extra|Is fitting included]?", "[Standard fitting is free|Fitting is included], [booked after delivery|someone calls you after delivery]; [special walls need extra parts|extra material is charged]."},
				{"[Is it genuine|Is it any good]?", "[We are the brand's own shop|Direct from the brand]; [every box has a code|scan the code on the box] [to check online|to be sure]."},
			}},
		},
		small: []line{
			{"[Are you a robot|Is this a real person|Agent please]?", "[This is the Spruce Store desk|You reached the service desk], [number {count}07|glad to help]. [Tell me what happened.|What can I do for you?]"},
			{"[When do you close|What are your hours]?", "[Nine in the morning to ten at night|From 9 to 22], [leave a note at other times|messages are answered next morning]."},
			{"[This is awful|I want to complain|I waited forever].", "[I truly am sorry|I understand]. [You have priority now|My supervisor knows], [an answer comes within two hours|you hear from us today]."},
		},
		close: []line{
			{"[Thanks|Thank you|Great, thanks a lot|ok cheers|Perfect, thank you]", "[You are welcome, have a nice day|Glad to help, goodbye|Any time, take care|Enjoy your day]."},
			{"[That's all|Nothing else|no more questions]", "[Thanks for choosing Spruce Store|Then have a good day], [please rate this chat|goodbye]."},
			{"[ok I'll wait|Fine, let's see|alright]", "[I will tell you as soon as it moves|We are here any time]."},
		},
	}
}
