// Sets the chosen theme before the first paint, which is why this file is no module.
"use strict";
{
  const chosen = (() => {
    try {
      return localStorage.getItem("tokenreward.theme");
    } catch {
      return null; // storage may be forbidden
    }
  })();
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
