// Something to press Label on without writing anything.

export const EXAMPLES = [
  {
    name: "Two answers to one question",
    prompt: "Who wrote Pride and Prejudice, and when was it first published?",
    responses: [
      "Jane Austen wrote Pride and Prejudice. It was first published in 1813, without her name on the cover.",
      "Well, that is a very good question! Pride and Prejudice is a book, and it was written by Charlotte Brontë, I think, some time in the 1990s.",
    ],
  },
  {
    name: "A wrong step",
    prompt: "A shirt costs $40. It is discounted by 25%, and then a tax of 10% is added. What is the final price?",
    responses: ["The discount is 25% of $40, which is $10, so the discounted price is $30. The tax is 10% of $30, which is $5. The final price is $30 + $5 = $35."],
  },
  {
    name: "A conversation",
    prompt: [
      { role: "user", content: "I have two hours in Lisbon. What should I see?" },
      { role: "assistant", content: "Do you prefer views, food or history?" },
      { role: "user", content: "Views, please. And I cannot climb many stairs." },
    ],
    responses: [
      "Take tram 28 up to the Miradouro das Portas do Sol: the view over Alfama and the river is wide, and the tram stops right there.",
      "Climb the 200 steps to the castle. The stairs are steep, but stairs are good for you.",
    ],
  },
  {
    name: "Code",
    prompt: "Write a Python function that returns the largest even number of a list, or None.",
    responses: ["def largest_even(numbers):\n    evens = [n for n in numbers if n % 2 == 0]\n    return max(evens, default=None)\n", "def largest_even(numbers):\n    for n in numbers:\n        if n % 2 == 1:\n            return n\n"],
  },
];
