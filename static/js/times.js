// Gives times in the zone of the reader's browser, unless they chose one: the server writes them in
// that, else in UTC.

if (!document.documentElement.dataset.timeZone) {
  giveTimes();
  document.addEventListener("replaced", giveTimes); // by refresh.js
}

function giveTimes() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "long" });
  const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "long" });
  const short = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", year: "numeric",
    hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
  const minute = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
  });

  for (const time of document.querySelectorAll("time[datetime*=T]")) {
    const moment = new Date(time.dateTime);
    if ("stored" in time.dataset) {
      time.textContent = (moment.getUTCSeconds() ? short : minute).format(moment).replace(",", "");
      continue; // its title is what is stored
    }
    time.title = whole.format(moment);
    if ("day" in time.dataset) time.textContent = day.format(moment);
    if ("exact" in time.dataset) time.textContent = short.format(moment).replace(",", "");
  }

  for (const place of document.querySelectorAll("[data-zone]")) place.textContent = zone;
  for (const field of document.querySelectorAll("[data-zone-field]")) field.value = zone;
}
