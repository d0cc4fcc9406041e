#pragma once

// Plain English, where there is no data to hold two models against each other on.

namespace attune::engine {

inline constexpr const char* kPlainSentences[] = {
    "The library opens at nine in the morning and closes at six, except on Sundays.",
    "She put the kettle on, opened the window, and listened to the rain on the roof.",
    "To add two fractions, bring them to a common denominator and add their numerators.",
    "The ship left the harbour before dawn, and nobody on the quay waved to it.",
    "A function that calls itself needs a case in which it does not.",
    "In spring the river rises, and the lower fields are under water for a week or two.",
    "Please send me the invoice again: the file that I received could not be opened.",
    "The committee met twice last month and agreed on nothing but the date of the next meeting.",
    "Light takes about eight minutes and twenty seconds from the sun to the earth.",
    "He repaired old clocks in a small shop between a bakery and a bank.",
    "Mix flour, water, salt and yeast, let the dough rest, and bake it until it is brown.",
    "When the price of bread rises, people who have little money buy less of everything else.",
    "The train to the coast was late, so we walked along the platform and talked about the war.",
    "If the light on the front is red, unplug the device and wait for a minute.",
    "Most birds that breed here in summer spend the winter thousands of kilometres to the south.",
    "What is written down can be read again, and what is only said is soon forgotten.",
};

}  // namespace attune::engine
