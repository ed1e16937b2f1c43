// Served as /client.js when the server was given no --client-js: loads the official
// client from its CDN. chat.js waits for `clientLoaded`.
"use strict";

window.clientLoaded = new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = "https://cdn.socket.io/4.8.3/socket.io.min.js";
  script.integrity =
    "sha384-kzavj5fiMwLKzzD1f8S7TeoVIEi7uKHvbTA3ueZkrzYq75pNQUiUi6Dy98Q3fxb0";
  script.crossOrigin = "anonymous";
  script.onload = resolve;
  script.onerror = () => reject(new Error(`${script.src} cannot be loaded`));
  document.head.append(script);
});
window.clientLoaded.catch(() => {}); // chat.js reports it
