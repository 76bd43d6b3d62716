// Package corpus writes the customer logs that the demo learns from: a year of
// conversations between the customers and the service desk of an invented
// bilingual (Chinese and English) household-goods shop, and a general small-talk
// corpus to pre-train a base model on.
//
// Everything follows from a seed. Sentences come from small grammars (grammar.go)
// over the shop's topics (shop_zh.go, shop_en.go), so that two honest
// conversations about the same thing still read differently. [Generate] then
// plants what real logs have: typing errors, exact and near duplicates, personal
// data, junk, broken lines (plant.go), spreads the result over the export
// formats that shops really use (formats.go), and keeps a record of every plant
// ([Plan]), so that a report can say how much of it the pipeline found and how
// much honest conversation it lost.
package corpus
