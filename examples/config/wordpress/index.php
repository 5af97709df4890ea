<?php
header('Content-Type: text/plain; charset=utf-8');
echo 'The front controller was asked for ', $_SERVER['REQUEST_URI'], "\n";
